"""The settings of the retention: how much of the log is kept, and what may be trimmed."""

from typing import Annotated

from msgspec import Meta

from consumers.errors import MissingSettingError
from events.limits import Limited
from events.log.positions import snapshot_holder
from events.retention.retention import KeptSeconds, Kind, RetentionRule
from projections.catalogue import READ_MODELS

RETENTION = "retention"
"""The name of the process where groups are named; it is not a group, as it reads no events."""


def required_holders() -> tuple[str, ...]:
    """Return the holders that must have a copy of what is trimmed: there is no other copy."""
    return ("archive", *map(snapshot_holder, READ_MODELS))


class RetentionSettings(Limited, frozen=True):
    """How the log is trimmed, by `routestream consume retention`.

    Attributes:
        keep_s: Seconds of the log that are kept at least; None: nothing is ever trimmed.
        interval_s: Seconds between two trims.
        without_archive: Trim what is in no archive as well.
        without_snapshot: Trim what is in no snapshot of the read models as well.
        held_max: Warn of a group without a living consumer that holds back more entries.
    """

    keep_s: KeptSeconds | None = None
    interval_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    without_archive: bool = False
    without_snapshot: bool = False
    held_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000

    @property
    def rule(self) -> RetentionRule:
        """The rule that says what has to be kept.

        Raises:
            MissingSettingError: `keep_s` is not set.
        """
        if self.keep_s is None:
            raise MissingSettingError(
                "setting retention.keep_s is not set: say how many seconds of the log are kept"
                " at least, such as ROUTESTREAM_RETENTION_KEEP_S=604800"
            )
        passed_over: tuple[tuple[Kind, bool], ...] = (
            ("archive", self.without_archive),
            ("snapshot", self.without_snapshot),
        )
        without = tuple(kind for kind, is_passed_over in passed_over if is_passed_over)
        return RetentionRule(self.keep_s, required_holders(), without)
