"""Read entries of a partition, and in the same step how far back its stream reaches."""

import msgspec

from events.entry.entry_id import EntryId
from events.entry.entry_line import RawEntry
from events.errors import NoGroupError, ServerRefusedError
from events.log.log import EventLog
from events.log.protocol import READ_COUNT
from events.server.reply import reply_entries
from events.streams.stream_state import StreamState, read_stream_state, stream_state_of


class PartitionChunk(StreamState, frozen=True):
    """The result of one read of a stream: *entries*, and the stream's state at that moment."""

    entries: list[RawEntry]

    def reaches(self, start: EntryId, before: int | None) -> bool:
        """Whether nothing from *start* on is missing from the stream.

        *before*: how many entries were ever appended before *start*, None if unknown. An entry that
        was deleted from the middle counts as missing until *before* includes it.
        """
        if self.removed == 0 or (self.first is not None and self.first <= start):
            return True
        return before is not None and self.removed <= before


async def read_chunk(
    log: EventLog, partition: int, start: EntryId, end: EntryId, count: int = READ_COUNT
) -> PartitionChunk:
    """Read up to *count* entries from *start* to *end*; no trim runs in between."""
    return await _ask(log, partition, ("XRANGE", str(start), str(end), count))


async def read_chunk_back(
    log: EventLog, partition: int, start: EntryId, end: EntryId, count: int = READ_COUNT
) -> PartitionChunk:
    """Read up to *count* entries from *end* back to *start*, the newest first."""
    return await _ask(log, partition, ("XREVRANGE", str(end), str(start), count))


async def _ask(log: EventLog, partition: int, command: tuple[str | int, ...]) -> PartitionChunk:
    name, first, last, count = command
    stream = log.keys.events(partition)
    read, ask = (name, stream, first, last, "COUNT", count), ("XINFO STREAM", stream)
    try:
        found, about = await log.server.client.together(read, ask, atomic=True)
        state: StreamState | None = stream_state_of(stream, about)
    except NoGroupError:
        found, state = None, None
    except ServerRefusedError:
        # An account that may only read has no MULTI. The state is read last: the stream can only
        # seem to have lost more than it had when the entries were read, never less.
        found = await log.server.client.call(*read)
        state = await read_stream_state(log.server.client.call, stream)
    state = state or StreamState.absent(stream)
    entries = [(entry_id, fields) for entry_id, fields in reply_entries(found)]
    return PartitionChunk(**msgspec.structs.asdict(state), entries=entries)
