"""The settings of the retention: how much of the log is kept, and what may be trimmed."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from consumers.errors import MissingSettingError
from events.limits import Limited
from events.log.positions import snapshot_holder
from events.retention.retention import KEEP_S, KeptSeconds, Kind, RetentionRule
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
        return self.rule_of()

    def rule_of(self, keep_s: float | None = None, without: Sequence[Kind] = ()) -> RetentionRule:
        """Return the rule of a trim by hand, and of what tells what one would cut.

        Args:
            keep_s: Seconds that are kept; None: as set, a week where nothing is set.
            without: Kinds of holders that are passed over beside those set.

        Raises:
            ValueError: *keep_s* is out of its range.
        """
        passed_over: tuple[tuple[Kind, bool], ...] = (
            ("archive", self.without_archive),
            ("snapshot", self.without_snapshot),
        )
        kinds = tuple(kind for kind, is_set in passed_over if is_set or kind in without)
        kept_s = self.keep_s if keep_s is None else keep_s
        return RetentionRule(KEEP_S if kept_s is None else kept_s, required_holders(), kinds)
