"""The streams: how each partition of the log lies in Redis."""

import msgspec

from events.entry_id import START, EntryId
from events.log import EventLog

_MEMORY_SAMPLES = 5


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


async def read_stream(log: EventLog, partition: int) -> StreamState | None:
    """Return the partition's state, None where nothing was ever appended to it."""
    stream, client = log.keys.events(partition), log.server.client
    if not await client.call("EXISTS", stream):
        return None
    about = await client.call("XINFO STREAM", stream)
    size = await client.call("MEMORY USAGE", stream, "SAMPLES", _MEMORY_SAMPLES)
    first = about["first-entry"]
    last = EntryId.parse(about["last-generated-id"])
    return StreamState(
        stream=stream,
        partition=partition,
        length=about["length"],
        size_bytes=size or 0,
        added=about["entries-added"],
        groups=about["groups"],
        first=EntryId.parse(first[0]) if first else None,
        last=last if last > START else None,
        is_gapless=about["max-deleted-entry-id"] == b"0-0",
    )
