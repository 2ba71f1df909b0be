"""The state of a deployment at one moment, as the live view shows it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from consumers.groups.state import GroupState
from consumers.runtime.dead_letters import DeadEntry
from events.entry.recorded import Entry
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge, RouteKey, withdrawn
from projections.route_table.traffic import traffic_of

Subject = Literal["endpoints", "groups", "dead", "log"]
SUBJECTS: tuple[Subject, ...] = ("endpoints", "groups", "dead", "log")

_SPARKS = "▁▂▃▄▅▆▇█"


class GroupLine(msgspec.Struct, frozen=True):
    """A group in a partition, and how many entries a second it ends; None while unknown."""

    state: GroupState
    rate: float | None


class DeadLine(msgspec.Struct, frozen=True):
    """One dead letter of a group."""

    group: str
    letter: DeadEntry


class DeploymentState(msgspec.Struct, frozen=True, kw_only=True):
    """The state at one moment.

    Attributes:
        now: The server's clock.
        endpoints: All endpoints that are not destroyed, as last known.
        ages: How old the health of the endpoints' routes is.
        endpoints_age_s: Age of *endpoints*; infinite before anything was loaded.
        behind_s: Age of the oldest event that is not folded into them; None if no group folds.
        groups: The groups, in every partition.
        dead: The newest dead letters, newest first.
        dead_count: The number of all dead letters.
        entries: The newest entries of the log, newest first.
        added: Entries that were ever appended.
        rates: Entries appended a second, oldest first, one for each reading.
        problems: Why a subject could not be read, by the subject that is not shown.
    """

    now: datetime
    endpoints: Sequence[Endpoint] = ()
    ages: Mapping[RouteKey, HealthAge] = {}
    endpoints_age_s: float = 0.0
    behind_s: float | None = None
    groups: Sequence[GroupLine] = ()
    dead: Sequence[DeadLine] = ()
    dead_count: int = 0
    entries: Sequence[Entry] = ()
    added: int = 0
    rates: Sequence[float] = ()
    problems: Mapping[Subject, str] = {}

    @property
    def routes(self) -> tuple[int, int]:
        """The number of routes that get traffic, and the number of all routes."""
        routes = [
            one
            for endpoint in self.endpoints
            for one in traffic_of(endpoint, withdrawn(endpoint, self.ages)).values()
        ]
        return sum(one.why_not is None for one in routes), len(routes)

    @property
    def stale(self) -> int:
        """The number of routes whose health is stale."""
        return sum(age.is_stale for age in self.ages.values())

    @property
    def backlog(self) -> str:
        """The number of entries that all groups together have still to end."""
        known = sum(one.state.pending + one.state.lag_min for one in self.groups)
        return f">={known}" if any(one.state.backlog is None for one in self.groups) else f"{known}"

    @property
    def name_of(self) -> dict[str, str]:
        """The names of the endpoints, by their ids."""
        return {str(one.endpoint_id): one.name for one in self.endpoints if one.name}


def spark(values: Sequence[float], width: int) -> str:
    """Return the last *width* values as bars, the highest of them in full height."""
    shown = list(values)[-width:]
    most = max(shown, default=0.0)
    if not most:
        return _SPARKS[0] * len(shown)
    top = len(_SPARKS) - 1
    return "".join(_SPARKS[round(one / most * top)] for one in shown)
