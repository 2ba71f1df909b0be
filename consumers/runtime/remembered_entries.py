"""Remembers the last deliveries of a consumer, to detect a server that lost newer entries."""

from collections import deque
from collections.abc import Iterable

from consumers.runtime.losses import Losses
from consumers.runtime.outcome import Delivery
from events.entry.entry_id import START, EntryId
from events.log.keys import Keys
from events.server.reply import reply
from events.server.server import Server
from events.streams.stream_state import StreamState, read_stream_state

REMEMBERED_MAX = 10_000
"""Entries that are remembered: a failover loses what was written in the last seconds."""

_CHUNK = 1_000


class RememberedEntries:
    """The newest entries that one consumer was given, of one partition.

    A replica that took over may lack the last writes, and a server may come back with an older
    file. Groups, positions and documents are on the same server and went back with the log, so only
    this memory knows the entries that were read and are gone.
    """

    def __init__(self, server: Server, keys: Keys, partition: int, losses: Losses) -> None:
        self._client = server.client
        self._stream = keys.events(partition)
        self._losses = losses
        self._missing = server.client.script("consumers.runtime", "missing")
        self._remembered: deque[EntryId] = deque(maxlen=REMEMBERED_MAX)

    def note(self, deliveries: Iterable[Delivery]) -> None:
        """Remember entries that were delivered for the first time."""
        self._remembered.extend(delivery.entry_id for delivery in deliveries)

    async def compare(self) -> None:
        """Note as lost the remembered entries that are no longer in the log, and forget them.

        An entry that was trimmed or deleted after it had been read is no loss.
        """
        stream = await read_stream_state(self._client.call, self._stream)
        stream = stream or StreamState.absent(self._stream)
        gone: list[EntryId] = []
        remembered = sorted(self._remembered)
        for at in range(0, len(remembered), _CHUNK):
            chunk = [str(entry_id) for entry_id in remembered[at : at + _CHUNK]]
            raw = await self._missing([self._stream], chunk)
            gone += map(EntryId.parse, reply(raw, list[bytes]))
        if not gone:
            return
        forgotten = set(gone)
        kept = (entry_id for entry_id in self._remembered if entry_id not in forgotten)
        self._remembered = deque(kept, maxlen=REMEMBERED_MAX)
        if rewound := [entry_id for entry_id in gone if _never_had(stream, entry_id)]:
            await self._losses.note("rewound", rewound)


def _never_had(stream: StreamState, missing: EntryId) -> bool:
    """Whether *missing* was neither trimmed nor deleted, but belongs to another history."""
    if stream.is_whole or missing > stream.last:
        return True
    return missing > max(stream.first or stream.last, stream.deleted or START)
