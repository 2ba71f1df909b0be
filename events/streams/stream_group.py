"""Read the groups of a stream: where each stands, its pending entries and its consumers."""

import msgspec

from events.entry.entry_id import EntryId
from events.errors import NoGroupError
from events.server.reply import Ask, reply_or_none, text

REQUEUER = "requeue"
"""Where requeued entries are pending until a consumer claims them; nobody reads by this name."""

_PENDING = list[tuple[bytes, bytes, int, int]]


class StreamGroup(msgspec.Struct, frozen=True):
    """What the server says about one group.

    Attributes:
        raw_name: Its name, as the server has it.
        consumers: Number of its consumers.
        pending: Number of entries delivered, but not acknowledged.
        last_delivered: The newest entry that was delivered, `START` for none.
        entries_read: Entries that the server counted as delivered; None if it lost count, or
            does not count them, as before Redis 7.
        lag: Entries not yet delivered, by that count; None if the server cannot say.
            `StreamState.lag_after` says whether it can be trusted.
    """

    raw_name: bytes
    consumers: int
    pending: int
    last_delivered: EntryId
    entries_read: int | None
    lag: int | None

    @property
    def name(self) -> str:
        """Its name for a person; bytes that are no text are escaped."""
        return text(self.raw_name)


class StreamConsumer(msgspec.Struct, frozen=True):
    """What the server says about one consumer; *idle_ms*: since it last asked for something."""

    name: str
    pending: int
    idle_ms: int


class PendingEntry(msgspec.Struct, frozen=True):
    """One pending entry.

    Attributes:
        entry_id: The entry.
        consumer: The consumer with which it is pending.
        idle_ms: Milliseconds since it was delivered, or last worked on.
        deliveries: How often it was delivered.
    """

    entry_id: EntryId
    consumer: str
    idle_ms: int
    deliveries: int


async def read_groups(ask: Ask, key: str | bytes) -> list[StreamGroup]:
    """Return the groups of the stream *key*, none if there is no such key.

    Raises:
        WrongTypeError: The key holds something else.
    """
    try:
        raw = await ask("XINFO GROUPS", key)
    except NoGroupError:
        return []
    return [
        StreamGroup(
            raw_name=about.name,
            consumers=about.consumers,
            pending=about.pending,
            last_delivered=EntryId.parse(about.last_delivered_id),
            entries_read=about.entries_read,
            lag=about.lag,
        )
        for about in reply_or_none(raw, list[_Group]) or ()
    ]


class _Group(msgspec.Struct, rename="kebab"):
    name: bytes
    consumers: int
    pending: int
    last_delivered_id: bytes
    entries_read: int | None = None
    lag: int | None = None


async def read_group(ask: Ask, key: str | bytes, name: str) -> StreamGroup | None:
    """Return the group *name* of the stream *key*, None if either does not exist."""
    groups = await read_groups(ask, key)
    return next((group for group in groups if group.raw_name == name.encode()), None)


async def read_consumers(
    ask: Ask, key: str | bytes, group: str | bytes, *, with_requeuer: bool = False
) -> list[StreamConsumer]:
    """Return the consumers of *group*; `REQUEUER` is none, and is there only if asked for.

    Raises:
        NoGroupError: There is no such stream or group.
    """
    raw = await ask("XINFO CONSUMERS", key, group)
    found = reply_or_none(raw, list[_ConsumerReply]) or ()
    consumers = [StreamConsumer(text(about.name), about.pending, about.idle) for about in found]
    return [each for each in consumers if with_requeuer or each.name != REQUEUER]


class _ConsumerReply(msgspec.Struct):
    name: bytes
    pending: int
    idle: int


async def read_pending(  # noqa: PLR0913 - the options of XPENDING
    ask: Ask,
    key: str | bytes,
    group: str | bytes,
    *,
    count: int,
    start: str = "-",
    end: str = "+",
    consumer: str | None = None,
    min_idle_ms: int = 0,
) -> list[PendingEntry]:
    """Return the oldest *count* pending entries of *group* from *start* to *end*.

    Only those pending with *consumer*, if given, and only those idle for at least *min_idle_ms*.

    Raises:
        NoGroupError: There is no such stream or group.
    """
    idle = ("IDLE", min_idle_ms) if min_idle_ms else ()
    only = () if consumer is None else (consumer,)
    raw = await ask("XPENDING", key, group, *idle, start, end, count, *only)
    return [
        PendingEntry(EntryId.parse(entry_id), text(name), idle_ms, deliveries)
        for entry_id, name, idle_ms, deliveries in reply_or_none(raw, _PENDING) or ()
    ]


async def read_oldest_pending(
    ask: Ask, key: str | bytes, group: str | bytes
) -> PendingEntry | None:
    """Return the oldest pending entry of *group*, None if nothing is pending.

    Raises:
        NoGroupError: There is no such stream or group.
    """
    return next(iter(await read_pending(ask, key, group, count=1)), None)


async def read_settled(ask: Ask, key: str | bytes, name: str) -> EntryId | None:
    """Return up to which entry, inclusive, a group has settled all; None if it does not exist.

    Pending entries are read last: entries settled meanwhile are not counted, and entries delivered
    meanwhile lie after the one returned.
    """
    group = await read_group(ask, key, name)
    if group is None:
        return None
    try:
        oldest = await read_oldest_pending(ask, key, name)
    except NoGroupError:
        return None
    delivered = group.last_delivered
    return delivered if oldest is None else min(delivered, oldest.entry_id.before())
