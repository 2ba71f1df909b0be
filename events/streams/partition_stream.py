"""The streams: how each partition of the log lies in Redis."""

from typing import Protocol

import msgspec

from events.entry.entry_id import START, EntryId
from events.log.log import EventLog

_MEMORY_SAMPLES = 5


class Stream(Protocol):
    """A stream, the log's or another's, as far as where its readers stand depends on it."""

    @property
    def length(self) -> int:
        """Entries that are in it."""

    @property
    def added(self) -> int:
        """Entries that were ever appended, the trimmed ones too."""

    @property
    def first(self) -> EntryId | None:
        """The oldest entry that is in it, None where it is empty."""

    @property
    def last(self) -> EntryId | None:
        """The newest entry that was appended, None where none ever was."""


class StreamState(msgspec.Struct, frozen=True):
    """What Redis says of one partition's stream.

    Attributes:
        stream: Its key.
        partition: Which one it is.
        length: Entries that are in it.
        size_bytes: Memory that it takes, estimated from a few of its entries.
        added: Entries that were ever appended, the trimmed ones too.
        groups: Groups that read it.
        first: The oldest entry that is in it, None where it is empty.
        last: The newest entry that was appended, None where none ever was.
        is_gapless: Whether no entry was deleted from its middle, as far as Redis knows.
        deleted: The highest entry that was deleted singly, `START` for none.
    """

    stream: str
    partition: int
    length: int
    size_bytes: int
    added: int
    groups: int
    first: EntryId | None
    last: EntryId | None
    is_gapless: bool
    deleted: EntryId = START


async def read_stream(log: EventLog, partition: int) -> StreamState | None:
    """Return the partition's state, None where nothing was ever appended to it."""
    stream, client = log.keys.events(partition), log.server.client
    if not await client.call("EXISTS", stream):
        return None
    about = await client.call("XINFO STREAM", stream)
    size = await client.call("MEMORY USAGE", stream, "SAMPLES", _MEMORY_SAMPLES)
    first = about["first-entry"]
    last = EntryId.parse(about["last-generated-id"])
    deleted = EntryId.parse(about["max-deleted-entry-id"])
    return StreamState(
        stream=stream,
        partition=partition,
        length=about["length"],
        size_bytes=size or 0,
        added=about["entries-added"],
        groups=about["groups"],
        first=EntryId.parse(first[0]) if first else None,
        last=last if last > START else None,
        is_gapless=deleted == START,
        deleted=deleted,
    )


def told_lag(stream: Stream, last_delivered: EntryId, told: int | None) -> int | None:
    """Return the lag where what Redis tells allows no doubt.

    Its own number is too large for ever once entries were trimmed that the group had not read, and
    missing after others were deleted.
    """
    if stream.last is None or last_delivered >= stream.last:
        return 0
    if stream.first is None or last_delivered < stream.first:
        return stream.length
    return told if stream.added == stream.length else None
