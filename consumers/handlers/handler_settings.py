"""The settings of a handler group: how many tries at a time, how often, how long."""

import msgspec

from consumers.runtime.outcome import RetryPolicy

HELD_MAX = 5_000
"""What a script can be told of at once has a limit."""

WAIT_MAX_S = 3_600.0
"""The longest wait, and the longest try, that can be set."""

TOLD_MAX_S = 300.0
"""The longest wait that the other side can ask for."""

_CONCURRENCY_MAX = 1_000


class HandlerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a handler group works.

    Attributes:
        concurrency: Tries that run at a time in one partition.
        held_max: Entries held in memory, waiting or being tried; beyond it none is read.
        deadline_s: The longest that one try may take; then it is cancelled, and has failed.
        failures_max: Failures after which an entry is a dead letter.
        unseen_max: Tries that ended with their process, after which an entry is a dead letter.
        first_s: The wait after a first failure, about; it doubles with each further one.
        most_s: The longest wait between two tries, unless the other side asked for more.
        lease_ms: How long a partition stays with a consumer that gives no sign of life.
        block_ms: The longest wait for new entries.
    """

    concurrency: int = 16
    held_max: int = 1_000
    deadline_s: float = 30.0
    failures_max: int = 10
    unseen_max: int = 5
    first_s: float = 1.0
    most_s: float = 60.0
    lease_ms: int = 5_000
    block_ms: int = 5_000

    def __post_init__(self) -> None:
        _check("concurrency", self.concurrency, 1, _CONCURRENCY_MAX)
        _check("held_max", self.held_max, 1, HELD_MAX)
        _check("failures_max", self.failures_max, 1, 1_000)
        _check("unseen_max", self.unseen_max, 1, 1_000)
        _check("lease_ms", self.lease_ms, 100, 3_600_000)
        _check("block_ms", self.block_ms, 1, 60_000)
        for name in ("deadline_s", "first_s", "most_s"):
            value = getattr(self, name)
            if not 0 < value <= WAIT_MAX_S:
                raise ValueError(f"{name} is {value}, more than 0 to {WAIT_MAX_S:.0f} is allowed")
        if self.first_s > self.most_s:
            raise ValueError(f"first_s is {self.first_s}, the most is most_s ({self.most_s})")

    @property
    def policy(self) -> RetryPolicy:
        """What becomes of entries that fail, by their failures."""
        return RetryPolicy(self.failures_max, self.first_s, self.most_s)


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}, {least} to {most} is allowed")
