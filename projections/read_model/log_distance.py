"""Measure how far a copy of a read model is behind the log."""

from math import inf
from time import monotonic

from events.entry.entry_id import EntryId
from events.errors import ServerRefusedError
from events.log.keys import Keys
from events.server.reply import reply_entries
from events.server.server import Server, now_of
from projections.read_model.knowledge import read_knowledge
from projections.read_model.replica_delay import replica_delay_s

MEASURE_EVERY_S = 1.0
"""How often the distance is measured; at the end of a wait for changes."""


class LogDistance:
    """How far the copy of one read model in one partition is behind the log.

    Attributes:
        known_until: The moment (`time.monotonic`) up to which all events are in the copy, as was
            last measured; minus infinity: never.
        folded_up_to: The entry up to which, inclusive, all were folded then; None: not known.
    """

    def __init__(self, server: Server, keys: Keys, read_model: str, partition: int) -> None:
        self.known_until = -inf
        self.folded_up_to: EntryId | None = None
        self._server = server
        self._keys = keys
        self._read_model = read_model
        self._partition = partition
        self._measured_at = -inf

    @property
    def is_due(self) -> bool:
        """Whether it is time to measure again."""
        return monotonic() - self._measured_at >= MEASURE_EVERY_S

    async def measure(self, seen: EntryId) -> None:
        """Measure it, for a copy whose newest event is *seen*, as it is in Redis now.

        An account that may not read the log learns only that the copy is what Redis has. A replica
        may lack what its master has had since it last heard of it.
        """
        self._measured_at = now = monotonic()
        try:
            self.folded_up_to, unfolded = await self._progress(seen)
        except ServerRefusedError:
            self.folded_up_to = unfolded = None
        behind_s = 0.0
        if unfolded is not None:
            behind_s = (await now_of(self._server)).timestamp() - unfolded.ms / 1_000
        delay_s = await replica_delay_s(self._server, self._keys.events(self._partition))
        self.known_until = now - max(0.0, behind_s, delay_s)

    async def _progress(self, seen: EntryId) -> tuple[EntryId, EntryId | None]:
        """Return up to where all is folded, and the oldest entry that is not, None for none."""
        call = self._server.client.call
        about = await read_knowledge(call, self._keys, self._read_model, self._partition)
        if about.is_kept:
            return about.folded_up_to, about.unfolded
        # Nobody folds: what comes after the newest event in the documents is not folded.
        stream = self._keys.events(self._partition)
        following = reply_entries(await call("XRANGE", stream, f"({seen}", "+", "COUNT", 1))
        return seen, EntryId.parse(following[0][0]) if following else None
