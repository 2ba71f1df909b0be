"""Measures how fast a group reads, and when it will have caught up."""

from collections.abc import Iterable, Mapping

import msgspec

from consumers.groups.state import GroupState

SAMPLE_S = 0.4
"""Seconds between the two looks that a rate is measured from, if there was none before."""


class GroupRates(msgspec.Struct, frozen=True):
    """How fast one group reads one partition, between two looks.

    Attributes:
        read_s: Entries delivered to the group per second; None if that is not known.
        added_s: Entries appended per second.
        eta_s: Seconds until the lag is 0 at these rates; None if that is never, or not known.
    """

    read_s: float | None = None
    added_s: float | None = None
    eta_s: float | None = None


class RateMeter:
    """Compares each look at the groups with the previous one."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._before: Mapping[tuple[str, int], GroupState] = {}

    @property
    def has_looked(self) -> bool:
        """Whether there is a look to compare with."""
        return bool(self._before)

    def note(self, states: Iterable[GroupState], at_s: float) -> dict[tuple[str, int], GroupRates]:
        """Note *states*, seen at *at_s* by the server's clock; return the rates since the last."""
        now = {(state.group, state.partition): state for state in states}
        passed_s, before = at_s - self._at_s, self._before
        self._at_s, self._before = at_s, now
        return {
            key: rates(before[key], state, passed_s) if key in before else GroupRates()
            for key, state in now.items()
        }


def rates(before: GroupState, now: GroupState, passed_s: float) -> GroupRates:
    """Return how fast a group read, and its log grew, from *before* to *now*."""
    if passed_s <= 0 or now.activity == "missing" or before.activity == "missing":
        return GroupRates()
    added_s = max(0, now.added - before.added) / passed_s
    was, read = _read(before, now), _read(now, before)
    # A group that was moved back has not read a negative number of entries.
    read_s = None if was is None or read is None else max(0, read - was) / passed_s
    return GroupRates(read_s, added_s, _eta_s(now.lag_max, read_s, added_s))


def _read(state: GroupState, other: GroupState) -> int | None:
    """Return how many entries the group has read, by a count that both states have."""
    if state.entries_read is not None and other.entries_read is not None:
        return state.entries_read
    return None if state.lag is None or other.lag is None else state.added - state.lag


def _eta_s(lag: int | None, read_s: float | None, added_s: float) -> float | None:
    if lag == 0:
        return 0.0
    if lag is None or read_s is None or read_s <= added_s:
        return None
    return lag / (read_s - added_s)
