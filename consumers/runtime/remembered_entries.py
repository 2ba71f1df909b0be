"""The entries last delivered to a consumer: they show a server whose history is older."""

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
"""Entries that are remembered: a failover loses what was written within the last seconds."""

_CHUNK = 1_000


class RememberedEntries:
    """The newest entries that one consumer was given, of one partition.

    A replica that took over may lack what was last written, and a server may come back with an
    older file. Group, positions and documents lie in the same server and went back with the log;
    what was read of it and is gone is known only here.
    """

    def __init__(self, server: Server, keys: Keys, partition: int, losses: Losses) -> None:
        self._client = server.client
        self._stream = keys.events(partition)
        self._losses = losses
        self._missing = server.client.script("consumers.runtime", "missing")
        self._remembered: deque[EntryId] = deque(maxlen=REMEMBERED_MAX)

    def note(self, deliveries: Iterable[Delivery]) -> None:
        """Remember what was given for the first time."""
        self._remembered.extend(delivery.entry_id for delivery in deliveries)

    async def compare(self) -> None:
        """Note as lost what is remembered, but not in the log any more, and forget it.

        What was trimmed or deleted after it had been read is no loss.
        """
        stream = await read_stream_state(self._client.call, self._stream)
        stream = stream or StreamState.absent(self._stream)
        gone: list[EntryId] = []
        remembered = sorted(self._remembered)
        for at in range(0, len(remembered), _CHUNK):
            some = [str(one) for one in remembered[at : at + _CHUNK]]
            raw = await self._missing([self._stream], some)
            gone += map(EntryId.parse, reply(raw, list[bytes]))
        if not gone:
            return
        forget = set(gone)
        kept = (one for one in self._remembered if one not in forget)
        self._remembered = deque(kept, maxlen=REMEMBERED_MAX)
        if rewound := [one for one in gone if _never_had(stream, one)]:
            await self._losses.note("rewound", rewound)


def _never_had(stream: StreamState, missing: EntryId) -> bool:
    """Whether *missing* was neither trimmed nor deleted, but belongs to another history."""
    if stream.is_whole or missing > stream.last:
        return True
    return missing > max(stream.first or stream.last, stream.deleted or START)
