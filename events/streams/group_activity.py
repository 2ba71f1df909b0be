"""Judge whether a group is read for, from what its consumers last asked: one answer for all."""

from collections.abc import Iterable
from typing import Literal

from events.streams.stream_group import StreamConsumer

SILENT_MS = 30_000
"""A consumer that has asked for nothing for this long is considered gone."""

Activity = Literal["missing", "history missing", "stopped", "silent", "working", "up to date"]
"""What a group does.

Missing: there is no such group in this partition. History missing: it waits for a part of the
history that is gone. Stopped: it has no consumer. Silent: none of its consumers has asked for
anything for `SILENT_MS`. Working: there is a backlog. Up to date: there is none.
"""

UNREAD: tuple[Activity, ...] = ("missing", "stopped", "silent")
"""What a group does for which nobody reads."""


def idle_ms_of(consumers: Iterable[StreamConsumer]) -> int | None:
    """Return how long ago one of *consumers* last asked for anything, None if there are none."""
    return min((consumer.idle_ms for consumer in consumers), default=None)


def activity_of(idle_ms: int | None, *, is_done: bool) -> Activity:
    """Return what an existing group does whose consumers were idle for *idle_ms* at least."""
    if idle_ms is None:
        return "stopped"
    if idle_ms >= SILENT_MS:
        return "silent"
    return "up to date" if is_done else "working"
