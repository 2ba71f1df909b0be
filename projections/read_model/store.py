"""Read and change the documents of a projection's generations."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Generic, TypeVar

import anyio
import msgspec

from events.entry.entry_id import EntryId
from events.log.keys import Keys
from events.server.reply import reply, reply_or_none
from events.server.server import Server
from events.structured_logger import structured_logger
from projections.errors import (
    DocumentsMissingError,
    NoLiveGenerationError,
    UnreadableDocumentError,
)
from projections.projection import Projection
from projections.read_model.generations import CHANGES_MAX, WRITE_CHUNK, Generations, whole_number

APPLY_MAX = 1_000
"""Documents that one apply changes at most: they block the server for about 10 ms."""

State = TypeVar("State")

_log = structured_logger(__name__)


class DocumentChange(msgspec.Struct, frozen=True, gc=False):
    """One endpoint's new document, and the entries that led from *revision* to it."""

    endpoint: str
    revision: int
    document: bytes
    entry_ids: Sequence[EntryId]


class Applied(msgspec.Struct, frozen=True):
    """What an apply did not do.

    Attributes:
        stale: The generation is not live, or not any more; nothing was done.
        lost: The generation has another number of documents than were written; nothing was done.
        conflicts: Endpoints that had another revision, each with its current document, or None;
            they were not written, and their entries not acknowledged.
    """

    stale: bool
    conflicts: dict[str, bytes | None]
    lost: bool = False


class ReadModelStore(Generations, Generic[State]):
    """Reads and changes the documents of one projection in one partition."""

    def __init__(
        self, server: Server, keys: Keys, projection: Projection[State], partition: int
    ) -> None:
        super().__init__(server, keys, projection.read_model, partition)
        self.projection = projection
        self._apply = server.client.script("projections.read_model", "apply")

    async def load(self, generation: int, endpoints: Sequence[str]) -> dict[str, tuple[int, State]]:
        """Return revision and state of each of *endpoints* that has a readable document."""
        raw: list[bytes | None] = []
        for begin in range(0, len(endpoints), WRITE_CHUNK):
            chunk = endpoints[begin : begin + WRITE_CHUNK]
            held = await self.client.call("HMGET", self._documents_key(generation), *chunk)
            raw += reply(held, list[bytes | None])
        return {
            endpoint: state
            for endpoint, document in zip(endpoints, raw, strict=True)
            if document is not None and (state := self.read(document)) is not None
        }

    async def load_all(self, generation: int) -> AsyncGenerator[tuple[int, State]]:
        """Yield revision and state of every readable document of *generation*."""
        async for page in self.load_pages(generation):
            for held in page:
                yield held

    async def load_pages(self, generation: int) -> AsyncGenerator[list[tuple[int, State]]]:
        """Yield the same in pages, as the server returns them."""
        cursor, key = 0, self._documents_key(generation)
        while True:
            raw = await self.client.call("HSCAN", key, cursor, "COUNT", WRITE_CHUNK)
            cursor, documents = reply(raw, tuple[int, dict[bytes, bytes]])
            decoded = map(self.read, documents.values())
            yield [held for held in decoded if held is not None]
            if cursor == 0:
                return

    def read(self, document: bytes) -> tuple[int, State] | None:
        """Return revision and state of *document*, None where it cannot be read."""
        try:
            return self.projection.decode(document)
        except UnreadableDocumentError as error:
            _log.error("document_unreadable", projection=self.projection.name, error=str(error))
            return None

    async def live_document(self, endpoint: str) -> tuple[int, State] | None:
        """Return revision and state of *endpoint* in the live generation, None where it has none.

        Raises:
            NoLiveGenerationError: There is no live generation now.
        """
        generation = await self.live_generation()
        if generation is None:
            raise no_live_generation(self.projection)
        return (await self.load(generation, [endpoint])).get(endpoint)

    async def apply(
        self,
        generation: int,
        group: str,
        changes: Sequence[DocumentChange] = (),
        unchanged: Sequence[EntryId] = (),
    ) -> Applied:
        """Write *changes* and acknowledge their entries and *unchanged*, in one step.

        With neither, it only checks that the generation is live and complete. It waits for one
        pause, but not for the next: a group is never blocked for long.
        """
        args: list[Any] = [len(changes)]
        for change in changes:
            args += (change.endpoint, change.revision, change.document, len(change.entry_ids))
            args += map(str, change.entry_ids)
        args.append(len(unchanged))
        args += map(str, unchanged)
        keys = [
            self._live,
            self._documents_key(generation),
            self.changes,
            self._generations,
            self._keys.events(self.partition),
            self._pause,
            self._keys.errors(self.partition, group),
        ]
        first = [generation, self.read_model, group, CHANGES_MAX]
        waits = int(bool(changes or unchanged))
        raw = await self._apply(keys, [*first, waits, *args])
        outcome, *details = reply(raw, list[bytes | int])
        if outcome == b"paused":
            await anyio.sleep(reply(details[0], int) / 1_000)
            raw = await self._apply(keys, [*first, 0, *args])
            outcome, *details = reply(raw, list[bytes | int])
        pairs = reply(details, list[bytes])
        conflicts = {
            endpoint.decode(): document or None
            for endpoint, document in zip(pairs[::2], pairs[1::2], strict=True)
        }
        return Applied(stale=outcome == b"stale", conflicts=conflicts, lost=outcome == b"lost")

    async def check_whole(self, generation: int) -> None:
        """Raise DocumentsMissingError where *generation*, which is live, lacks documents."""
        field = f"{self.read_model}:documents"
        raw = await self.client.call("HGET", self._generations, field)
        counted = whole_number(reply_or_none(raw, bytes), self._generations, field) or 0
        present = reply(await self.client.call("HLEN", self._documents_key(generation)), int)
        if present < counted:
            raise DocumentsMissingError(
                f"read model {self.read_model} has {present} of {counted} documents;"
                " a projector builds it anew"
            )


def no_live_generation(
    projection: Projection[Any], partition: int | None = None
) -> NoLiveGenerationError:
    """Return the error for a missing read model, in *partition* or, without it, in any."""
    where = "" if partition is None else f" in partition {partition}"
    return NoLiveGenerationError(
        f"read model {projection.read_model} has no live generation{where};"
        f" `routestream consume {projection.read_model}` builds it from the log"
    )
