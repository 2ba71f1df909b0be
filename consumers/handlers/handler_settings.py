"""The settings of a handler group: concurrency, retries and deadlines."""

from typing import Annotated

from msgspec import Meta

from consumers.runtime.outcome import RetryPolicy, WaitSeconds
from events.limits import Limited

HELD_MAX = 5_000
"""A script takes a limited number of arguments, and a renewal names all entries in hand."""

TOLD_MAX_S = 300.0
"""The longest wait that a receiver can ask for."""


class HandlerSettings(Limited, frozen=True):
    """How a handler group works.

    Attributes:
        concurrency: Tries that run at a time in one partition.
        held_max: Entries held in memory, waiting or being tried. An endpoint holds a twentieth at
            most, and a single one once half of the places are taken; its other entries stay pending
            and are taken in order when it has room.
        deadline_s: The longest time for one try; then it is cancelled, and has failed.
        policy: What happens to entries that fail.
        unseen_max: Tries that ended with their process, after which an entry is a dead letter.
        lease_ms: How long a partition stays with a consumer that gives no sign of life.
        block_ms: The longest wait for new entries.
    """

    concurrency: Annotated[int, Meta(ge=1, le=1_000)] = 16
    held_max: Annotated[int, Meta(ge=1, le=HELD_MAX)] = 1_000
    deadline_s: WaitSeconds = 30.0
    policy: RetryPolicy = RetryPolicy(tries_max=10, first_s=1.0, most_s=60.0)
    unseen_max: Annotated[int, Meta(ge=1, le=1_000)] = 5
    lease_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 5_000
    block_ms: Annotated[int, Meta(ge=10, le=60_000)] = 5_000
