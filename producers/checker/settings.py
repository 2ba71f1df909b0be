"""The settings of a health checker."""

import msgspec

from producers.checker.verdict import VerdictSettings


class CheckerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a checker probes.

    Attributes:
        concurrency_max: Probes that are under way at the same time.
        fast_interval_s: Time between two probes while a failing route is not unhealthy yet, where
            that is shorter than its interval; None: its interval holds.
        jitter: The part of an interval by which it is drawn longer or shorter, 0 to 0.5.
        update_interval_s: The least time between two looks at the changed route table.
        verdict: When a route flaps.
    """

    concurrency_max: int = 256
    fast_interval_s: float | None = None
    jitter: float = 0.1
    update_interval_s: float = 0.1
    verdict: VerdictSettings = VerdictSettings()

    def __post_init__(self) -> None:
        if self.concurrency_max < 1:
            raise ValueError(f"concurrency_max is {self.concurrency_max}, the least is 1")
        if self.fast_interval_s is not None and not self.fast_interval_s > 0:
            raise ValueError(f"fast_interval_s is {self.fast_interval_s}, it must be more than 0")
        if not 0 <= self.jitter <= 0.5:
            raise ValueError(f"jitter is {self.jitter}, 0 to 0.5 is allowed")
        if not self.update_interval_s >= 0:
            raise ValueError(f"update_interval_s is {self.update_interval_s}, the least is 0")
