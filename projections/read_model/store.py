"""Read and change the documents of a projection's generations."""

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from hashlib import sha1
from typing import Any, Generic, TypeVar

import anyio
import msgspec

from events.entry.entry_id import EntryId
from events.log.keys import Keys
from events.server.reply import reply, reply_or_none, text
from events.server.server import Server
from events.structured_logger import structured_logger
from projections.errors import (
    DocumentsMissingError,
    NoLiveGenerationError,
    UnreadableDocumentError,
)
from projections.projection import Projection
from projections.read_model.generations import CHANGES_MAX, WRITE_CHUNK, Generations, whole_number
from projections.read_model.missing_generation import no_live_generation

APPLY_MAX = 500
"""Documents that one apply changes at most: they block the server for about 5 ms."""

State = TypeVar("State")

_REVISION = re.compile(rb'\{"revision":(\d{1,15}),')
_TOLD_MAX = 1_000

_log = structured_logger(__name__)


class DamagedDocument(msgspec.Struct, frozen=True, gc=False):
    """A stored document that cannot be read; *problem* says why."""

    endpoint: str
    raw: bytes
    problem: str

    @property
    def revision(self) -> int:
        """The revision with which it begins; 0 where it begins otherwise."""
        return revision_in(self.raw) or 0

    @property
    def checksum(self) -> str:
        """What identifies it, while it is replaced by a document that was folded again."""
        return sha1(self.raw, usedforsecurity=False).hexdigest()


class DocumentChange(msgspec.Struct, frozen=True, gc=False):
    """One endpoint's new document, and the entries that led from *revision* to it.

    *replaces* is the checksum of the damaged document that it replaces, "" for none.
    """

    endpoint: str
    revision: int
    document: bytes
    entry_ids: Sequence[EntryId]
    replaces: str = ""


Stored = tuple[int, State] | DamagedDocument
"""Revision and state of a document, or what is known of one that cannot be read."""


def damaged_of(documents: Iterable[object]) -> list[DamagedDocument]:
    """Return those of *documents* that cannot be read."""
    return [document for document in documents if isinstance(document, DamagedDocument)]


def readable_of(documents: Iterable[Stored[State]]) -> list[tuple[int, State]]:
    """Return revision and state of those of *documents* that can be read."""
    return [document for document in documents if not isinstance(document, DamagedDocument)]


def revision_in(document: bytes) -> int | None:
    """Return the revision with which a document begins, None where it begins otherwise."""
    begins = _REVISION.match(document)
    return None if begins is None else int(begins[1])


NoteDamaged = Callable[[DamagedDocument], None]
Wanted = Callable[[bytes, bytes], bool]
"""Whether a document is to be decoded, given its endpoint and the document as they are stored."""


class Applied(msgspec.Struct, frozen=True):
    """What an apply did not do.

    Attributes:
        stale: The generation is not live, or not any more; nothing was done.
        gone: The history is not the one that the entries were read from, or the group waits for
            what is missing of it; nothing was done.
        lost: The generation has another number of documents than were written; nothing was done.
        conflicts: Endpoints that had another revision, each with its current document, or None;
            they were not written, and their entries not acknowledged.
    """

    stale: bool
    conflicts: dict[str, bytes | None]
    lost: bool = False
    gone: bool = False


class ReadModelStore(Generations, Generic[State]):
    """Reads and changes the documents of one projection in one partition."""

    def __init__(
        self, server: Server, keys: Keys, projection: Projection[State], partition: int
    ) -> None:
        super().__init__(server, keys, projection.read_model, partition)
        self.projection = projection
        self._apply = server.client.script("projections.read_model", "apply")
        self._told: set[tuple[str, str]] = set()

    async def load(self, generation: int, endpoints: Sequence[str]) -> dict[str, tuple[int, State]]:
        """Return revision and state of each of *endpoints* that has a readable document."""
        stored = await self.look_up(generation, endpoints)
        return {
            endpoint: document
            for endpoint, document in stored.items()
            if not isinstance(document, DamagedDocument)
        }

    async def look_up(self, generation: int, endpoints: Sequence[str]) -> dict[str, Stored[State]]:
        """Return the document of each of *endpoints* that has one, whether or not it is damaged."""
        raw: list[bytes | None] = []
        for begin in range(0, len(endpoints), WRITE_CHUNK):
            chunk = endpoints[begin : begin + WRITE_CHUNK]
            held = await self.client.call("HMGET", self._documents_key(generation), *chunk)
            raw += reply(held, list[bytes | None])
        return {
            endpoint: self.read(endpoint, document)
            for endpoint, document in zip(endpoints, raw, strict=True)
            if document is not None
        }

    async def load_all(
        self, generation: int, note_damaged: NoteDamaged | None = None
    ) -> AsyncGenerator[tuple[int, State]]:
        """Yield revision and state of every readable document of *generation*."""
        async for page in self.load_pages(generation, note_damaged):
            for held in page:
                yield held

    async def load_pages(
        self,
        generation: int,
        note_damaged: NoteDamaged | None = None,
        wanted: Wanted | None = None,
    ) -> AsyncGenerator[list[tuple[int, State]]]:
        """Yield the same in pages, as the server returns them; see `page` for *wanted*."""
        cursor = 0
        while True:
            cursor, page = await self.page(generation, cursor, wanted)
            if note_damaged is not None:
                for document in damaged_of(page):
                    note_damaged(document)
            yield readable_of(page)
            if cursor == 0:
                return

    async def page(
        self,
        generation: int,
        cursor: int,
        wanted: Wanted | None = None,
        count: int = WRITE_CHUNK,
    ) -> tuple[int, list[Stored[State]]]:
        """Return some documents from *cursor* on, and the next cursor; 0 is the first, and none.

        Of about *count* documents those that are *wanted* are decoded and returned.
        """
        key = self._documents_key(generation)
        raw = await self.client.call("HSCAN", key, cursor, "COUNT", count)
        cursor, documents = reply(raw, tuple[int, dict[bytes, bytes]])
        return cursor, [
            self.read(text(name), document)
            for name, document in documents.items()
            if wanted is None or wanted(name, document)
        ]

    def read(self, endpoint: str, document: bytes) -> Stored[State]:
        """Return revision and state of the *document* of *endpoint*, or that it is damaged.

        Each damaged one is logged once.
        """
        try:
            return self.projection.read(document, endpoint)
        except UnreadableDocumentError as error:
            damaged = DamagedDocument(endpoint, document, str(error))
        if (endpoint, damaged.checksum) not in self._told and len(self._told) < _TOLD_MAX:
            self._told.add((endpoint, damaged.checksum))
            _log.error(
                "document_unreadable",
                projection=self.projection.name,
                partition=self.partition,
                endpoint=endpoint,
                error=damaged.problem,
            )
        return damaged

    async def live_document(self, endpoint: str) -> tuple[int, State] | None:
        """Return revision and state of *endpoint* in the live generation, None where it has none.

        Raises:
            NoLiveGenerationError: There is no live generation now.
        """
        generation = await self.live_generation()
        if generation is None:
            raise await self.not_live()
        return (await self.load(generation, [endpoint])).get(endpoint)

    async def not_live(self) -> NoLiveGenerationError:
        """Return the error for a read model that is not live in this partition."""
        return await no_live_generation(
            *(self.client.call, self.keys, self.projection, [self.partition]),
            where=f" in partition {self.partition}",
        )

    async def apply(
        self,
        generation: int,
        group: str,
        changes: Sequence[DocumentChange] = (),
        unchanged: Sequence[EntryId] = (),
        event_id: bytes = b"",
    ) -> Applied:
        """Write *changes* and acknowledge their entries and *unchanged*, in one step.

        The newest of them must be in the log: as the event with *event_id*, if that is given.

        With neither, it only checks that the generation is live and complete. It waits for one
        pause, but not for the next: a group is never blocked for long.
        """
        folded = [*unchanged, *(id_ for change in changes for id_ in change.entry_ids)]
        newest = b"%s %s" % (str(max(folded)).encode(), event_id) if folded else b""
        args: list[Any] = [self.identity or "", newest, len(changes)]
        for change in changes:
            args += (change.endpoint, change.revision, change.replaces, change.document)
            args += (len(change.entry_ids), *map(str, change.entry_ids))
        args.append(len(unchanged))
        args += map(str, unchanged)
        keys = [
            self._live,
            self._documents_key(generation),
            self.changes,
            self._generations,
            self.keys.events(self.partition),
            self._pause,
            self.keys.errors(self.partition, group),
            self.keys.identity(self.partition),
            self.keys.positions(self.partition),
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
        return Applied(
            stale=outcome == b"stale",
            conflicts=conflicts,
            lost=outcome == b"lost",
            gone=outcome == b"gone",
        )

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
