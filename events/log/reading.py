"""Read the stream of a partition step by step, and follow several of them."""

from collections.abc import AsyncGenerator, Collection, Sequence

import anyio

from events.entry.entry_id import END, EntryId
from events.entry.entry_line import RawEntry
from events.entry.recorded import Entry, entries_of
from events.errors import ServerUnavailableError
from events.log.keys import Keys
from events.log.merge import by_entry_id
from events.log.protocol import READ_COUNT
from events.log.read_size import ReadSize
from events.server.backoff import Backoff
from events.server.reply import reply_entries
from events.server.server import Server
from events.streams.awaited_entries import AwaitedEntries
from events.structured_logger import structured_logger

_BLOCK_MS = 2_000
_RECONNECT = Backoff(first_s=0.05, most_s=5.0)

_log = structured_logger(__name__)


class StreamReading:
    """A position in a partition's stream, which every step advances.

    Trimmed or deleted entries are passed over; `events.history.cursor.PartitionCursor` finds them
    in the archive, or reports what is missing.

    Attributes:
        partition: The partition.
        position: The last entry that was read, or where reading began.
        is_at_end: Whether the last step reached the end of the requested range.
    """

    def __init__(self, server: Server, keys: Keys, partition: int, position: EntryId) -> None:
        self._server = server
        self._stream = keys.events(partition)
        self.partition = partition
        self.position = position
        self.is_at_end = False
        self._size = ReadSize(READ_COUNT)

    async def step(self, end: EntryId = END, count: int = READ_COUNT) -> Sequence[RawEntry]:
        """Return the next entries up to *end*, inclusive; a step may find none."""
        if self.position >= END:
            self.is_at_end = True
            return []
        start = self.position.after()
        count = min(count, self._size.count)
        raw = reply_entries(
            await self._server.client.call(
                "XRANGE", self._stream, str(start), str(end), "COUNT", count
            )
        )
        if raw:
            self.position = EntryId.parse(raw[-1][0])
        self._size.note(raw)
        self.is_at_end = len(raw) < count
        return raw


async def follow(
    server: Server, keys: Keys, readings: Collection[StreamReading]
) -> AsyncGenerator[Entry]:
    """Yield the entries that *readings* find, for ever, and wait for more when all are at the end.

    While the server is away it waits, then continues where each reading was.
    """
    failures = 0
    streams = [keys.events(reading.partition) for reading in readings]
    async with AwaitedEntries.open(server, streams, _BLOCK_MS) as awaited:
        while True:
            found: list[Entry] = []
            try:
                if all(reading.is_at_end for reading in readings):
                    at = {keys.events(r.partition): str(r.position) for r in readings}
                    while not await awaited.read(at, 1):
                        pass
                await _step_all(readings, found)
                failures = 0
            except ServerUnavailableError as error:
                failures += 1
                _log.warning("follow_interrupted", error=str(error), failures=failures)
            for entry in by_entry_id(found):
                yield entry
            if failures:
                await anyio.sleep(_RECONNECT.delay_s(failures))


async def _step_all(readings: Collection[StreamReading], found: list[Entry]) -> None:
    """Add to *found* what a step of each reading finds; raise after all what one has met."""
    failure: ServerUnavailableError | None = None
    for reading in readings:
        try:
            found += entries_of(await reading.step(), reading.partition)
        except ServerUnavailableError as error:
            failure = error
    if failure is not None:
        raise failure
