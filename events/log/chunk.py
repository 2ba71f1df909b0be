"""The chunk: entries of a partition's stream, and in the same step how far back it reaches."""

from typing import Any

import msgspec

from events.entry.entry_id import START, EntryId
from events.entry.entry_line import RawEntry
from events.errors import ServerRefusedError
from events.log.log import READ_COUNT, EventLog
from events.server.translation import translation


class Chunk(msgspec.Struct, frozen=True):
    """What one read of a stream found.

    Attributes:
        entries: Those asked for, as `RawEntry`.
        first: The oldest entry that was left in the stream, None where it was empty.
        last: The newest id that was ever appended, `START` where none was.
        length: Entries that were left.
        added: Entries that were ever appended, as Redis counts them.
    """

    entries: list[RawEntry]
    first: EntryId | None
    last: EntryId
    length: int
    added: int

    @property
    def removed(self) -> int:
        """How many entries were ever trimmed or deleted."""
        return self.added - self.length

    def reaches(self, start: EntryId, before: int | None) -> bool:
        """Whether nothing from *start* on is missing from the stream.

        *before*: how many entries were ever appended before *start*, None where nobody knows.
        An entry that was deleted from the middle counts as missing, until it is in *before*.
        """
        if self.removed == 0 or (self.first is not None and self.first <= start):
            return True
        return before is not None and self.removed <= before


async def read_chunk(
    log: EventLog, partition: int, start: EntryId, end: EntryId, count: int = READ_COUNT
) -> Chunk:
    """Read up to *count* entries from *start* to *end*; nothing is trimmed in between."""
    return await _ask(log, partition, ("XRANGE", str(start), str(end), count))


async def read_chunk_back(
    log: EventLog, partition: int, start: EntryId, end: EntryId, count: int = READ_COUNT
) -> Chunk:
    """Read up to *count* entries from *end* back to *start*, the newest first."""
    return await _ask(log, partition, ("XREVRANGE", str(end), str(start), count))


async def _ask(log: EventLog, partition: int, command: tuple[Any, ...]) -> Chunk:
    name, one, other, count = command
    stream = log.keys.events(partition)
    read, ask = (name, stream, one, other, "COUNT", count), ("XINFO STREAM", stream)
    try:
        raw, about = await _at_once(log, read, ask)
    except ServerRefusedError:
        # An account that may only read has no MULTI. Asked for last, the stream can only seem to
        # have lost more than it had when it was read, never less.
        raw = await log.server.client.call(*read)
        if not await log.server.client.call("EXISTS", stream):
            return Chunk([], None, START, 0, 0)
        about = await log.server.client.call(*ask)
    if isinstance(raw, Exception):
        with translation(read):
            raise raw
    if isinstance(about, Exception):  # there is no such key
        return Chunk([], None, START, 0, 0)
    first = about["first-entry"]
    return Chunk(
        entries=[(entry_id, fields) for entry_id, fields in raw],
        first=EntryId.parse(first[0]) if first else None,
        last=EntryId.parse(about["last-generated-id"]),
        length=about["length"],
        added=about["entries-added"],
    )


async def _at_once(log: EventLog, *commands: tuple[Any, ...]) -> list[Any]:
    with translation():
        async with log.server.client.pipeline(transaction=True) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
            return replies
