"""The Redis stream: what the server says of any stream, ours or not, without reading it."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from events.entry.entry_id import START, EntryId
from events.server.server import Server
from events.streams.foreign_stream import check_stream
from events.streams.partition_stream import told_lag

RATE_SAMPLE = 50
"""Of the newest entries, whose ids' times tell the rate."""

LAG_COUNTED_MAX = 1_000
"""Entries that are counted for a lag that the server cannot tell."""

_MEMORY_SAMPLES = 5
_SCAN_COUNT = 1_000


class StreamGroup(msgspec.Struct, frozen=True):
    """What Redis says of one group of a stream.

    Attributes:
        name: Its name; bytes that are no text are escaped.
        consumers: Consumers that it has.
        pending: Entries delivered, but not acknowledged.
        lag: Entries not yet delivered, None where they are more than were counted.
        lag_min: There are at least so many.
        last_delivered: The newest entry that was delivered, `START` for none.
        oldest_pending: The oldest entry that is pending.
    """

    name: str
    consumers: int
    pending: int
    lag: int | None
    lag_min: int
    last_delivered: EntryId
    oldest_pending: EntryId | None


class RedisStream(msgspec.Struct, frozen=True):
    """What Redis says of one stream.

    Attributes:
        key: Its key.
        length: Entries that are in it.
        size_bytes: Memory that it takes, estimated from a few of its entries.
        added: Entries that were ever appended, the trimmed ones too.
        rate_per_s: Entries appended in a second, from the newest ones until now.
        first: The oldest entry that is in it, None where it is empty.
        last: The newest entry that was appended, None where none ever was.
        deleted: The highest entry that was deleted singly, `START` for none.
        groups: The groups that read it, by name.
    """

    key: bytes
    length: int
    size_bytes: int
    added: int
    rate_per_s: float
    first: EntryId | None
    last: EntryId | None
    deleted: EntryId
    groups: tuple[StreamGroup, ...]

    @property
    def name(self) -> str:
        """Its key for a person; bytes that are no text are escaped."""
        return _text(self.key)

    @property
    def max_lag(self) -> StreamGroup | None:
        """The group that stands furthest back, and so has most to read; None for no group.

        Where its lag could not be counted, it is at least as long as any other's.
        """
        if not self.groups:
            return None
        last = min(self.groups, key=lambda one: (one.last_delivered, one.lag is None))
        return msgspec.structs.replace(last, lag_min=max(one.lag_min for one in self.groups))


async def read_redis_stream(server: Server, key: str | bytes, now_ms: int) -> RedisStream:
    """Return what the server says of the stream *key*.

    Raises:
        NoStreamError: There is no such key, or it holds something else.
    """
    call = server.client.call
    await check_stream(server, key)
    about = await call("XINFO STREAM", key)
    size = await call("MEMORY USAGE", key, "SAMPLES", _MEMORY_SAMPLES)
    newest = await call("XREVRANGE", key, "+", "-", "COUNT", RATE_SAMPLE)
    first = about["first-entry"]
    last = EntryId.parse(about["last-generated-id"])
    stream = RedisStream(
        key=key.encode() if isinstance(key, str) else key,
        length=about["length"],
        size_bytes=size or 0,
        added=about["entries-added"],
        rate_per_s=_rate([EntryId.parse(entry_id) for entry_id, _ in newest], now_ms),
        first=EntryId.parse(first[0]) if first else None,
        last=last if last > START else None,
        deleted=EntryId.parse(about["max-deleted-entry-id"]),
        groups=(),
    )
    # The stream first: what arrives meanwhile can make a lag too large, never too small.
    infos = await call("XINFO GROUPS", key)
    groups = [await _read_group(server, stream, info) for info in infos]
    by_name = sorted(groups, key=lambda one: one.name)
    return msgspec.structs.replace(stream, groups=tuple(by_name))


def _rate(newest: Sequence[EntryId], now_ms: int) -> float:
    """Return entries in a second: those that are not older than the oldest, until now."""
    if len(newest) < 2:
        return 0.0
    return (len(newest) - 1) * 1_000 / max(1, now_ms - newest[-1].ms)


async def _read_group(
    server: Server,
    stream: RedisStream,
    info: Any,  # noqa: ANN401 - Redis's reply
) -> StreamGroup:
    key = stream.key
    last_delivered = EntryId.parse(info["last-delivered-id"])
    lag = told_lag(stream, last_delivered, info["lag"])
    lag_min = lag or 0
    if lag is None:
        after = ("XRANGE", key, f"({last_delivered}", "+", "COUNT", LAG_COUNTED_MAX)
        lag_min = len(await server.client.call(*after))
        lag = lag_min if lag_min < LAG_COUNTED_MAX else None
    pending = await server.client.call("XPENDING", key, info["name"], "-", "+", 1)
    return StreamGroup(
        name=_text(info["name"]),
        consumers=info["consumers"],
        pending=info["pending"],
        lag=lag,
        lag_min=lag_min,
        last_delivered=last_delivered,
        oldest_pending=EntryId.parse(pending[0][0]) if pending else None,
    )


async def stream_keys(server: Server, match: str) -> AsyncGenerator[bytes]:
    """Yield the keys of the server's streams that *match* Redis's pattern, each once."""
    seen: set[bytes] = set()
    cursor: int | bytes = 0
    while True:
        scan = ("SCAN", cursor, "MATCH", match, "COUNT", _SCAN_COUNT, "TYPE", "stream")
        cursor, keys = await server.client.call(*scan)
        for key in keys:
            if key not in seen:
                seen.add(key)
                yield key
        if not int(cursor):
            return


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
