"""Forget destroyed endpoints when no event of theirs can come any more."""

from typing import Any

from events.entry.entry_id import EntryId
from events.log.keys import Keys
from events.server.reply import reply
from events.server.server import Server
from events.streams.stream_group import read_settled
from events.streams.stream_state import StreamState, read_stream_state
from projections.projection import Projection
from projections.read_model.generations import CHANGES_MAX
from projections.read_model.store import DamagedDocument, ReadModelStore

_UNFOLDED_MAX_MS = 60_000


def is_forgettable(projection: Projection[Any], state: Any, first: EntryId | None) -> bool:  # noqa: ANN401 - of any projection
    """Whether *state* says only that its endpoint is gone, and no entry from *first* on is in it.

    A tombstone keeps late events from bringing the endpoint back. Once the log begins after its
    newest event, none of them can be delivered again: they were trimmed, and a trim waits for each
    group that has not ended them.
    """
    return first is not None and projection.is_tombstone(state) and state.version < first


class Tombstones:
    """The tombstones of one read model in one partition.

    Each sweep looks at a page of the documents, so that its cost does not depend on their number.

    Attributes:
        read_model: The name of the read model.
    """

    def __init__(
        self, server: Server, keys: Keys, projection: Projection[Any], partition: int
    ) -> None:
        self.read_model = projection.read_model
        self._store = ReadModelStore[Any](server, keys, projection, partition)
        self._projection = projection
        self._stream = keys.events(partition)
        self._keys = [
            keys.changes(partition, projection.read_model),
            keys.generations(partition),
            self._stream,
            keys.heads(partition),
        ]
        self._live = keys.live(partition, projection.read_model)
        self._documents = keys.documents
        self._forget = server.client.script("projections.read_model", "forget")
        self._cursor = 0

    async def _is_folded(self, stream: StreamState) -> bool:
        """Whether no old entry waits to be folded, which could be a late event of any endpoint."""
        settled = await read_settled(self._store.client.call, self._stream, self.read_model)
        return settled is not None and stream.last.ms - settled.ms <= _UNFOLDED_MAX_MS

    async def sweep(self) -> int:
        """Forget those of the next page that nobody needs any more; return how many they were."""
        store, projection = self._store, self._projection
        generation = await store.live_generation()
        stream = await read_stream_state(store.client.call, self._stream)
        if generation is None or stream is None or not await self._is_folded(stream):
            return 0
        self._cursor, page = await store.page(generation, self._cursor)
        found: list[Any] = []
        for document in page:
            if isinstance(document, DamagedDocument):
                continue
            revision, state = document
            if is_forgettable(projection, state, stream.first):
                found += (str(state.endpoint_id), revision)
        if not found:
            return 0
        documents = self._documents(store.partition, projection.read_model, generation)
        args = [generation, projection.read_model, CHANGES_MAX, *found]
        answer = await self._forget([self._live, documents, *self._keys], args)
        return max(0, reply(answer, int))
