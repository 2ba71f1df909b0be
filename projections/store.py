"""The store: where the documents of a projection's generations lie."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from events.entry_id import EntryId
from events.keys import Keys
from events.server import Server
from projections.errors import (
    DocumentsMissingError,
    NoLiveGenerationError,
    UnreadableDocumentError,
)
from projections.projection import Projection

CHANGES_MAX = 1_000
"""Entries that the change feed keeps, about: a reader that missed more loads all anew."""

APPLY_MAX = 1_000
"""Documents that one apply changes: the server does nothing else for their time, about 10 ms."""

_CHUNK = 500

State = TypeVar("State")

_log = structlog.get_logger()


class Change(msgspec.Struct, frozen=True, gc=False):
    """One endpoint's document as it shall be, and the entries that led from *revision* to it."""

    endpoint: str
    revision: int
    document: bytes
    entry_ids: Sequence[EntryId]


class Applied(msgspec.Struct, frozen=True):
    """What an apply did not do.

    Attributes:
        stale: The generation is not live (any more); nothing was done at all.
        lost: It has not as many documents as were written; nothing was done at all.
        conflicts: Endpoints that had another revision, with the document that is there now, None
            for none; they were not written, their entries not acknowledged.
    """

    stale: bool
    conflicts: dict[str, bytes | None]
    lost: bool = False


class ReadModelStore(Generic[State]):
    """Reads and changes the documents of one projection in one partition."""

    def __init__(
        self, server: Server, keys: Keys, projection: Projection[State], partition: int
    ) -> None:
        self.projection = projection
        self.partition = partition
        self.client = server.client
        self._keys = keys
        self._live = keys.live(partition, projection.name)
        self._generations = keys.generations(partition)
        self.changes = keys.changes(partition, projection.name)
        self._apply = server.client.script("projections", "apply")
        self._swap = server.client.script("projections", "swap")
        self._retire = server.client.script("projections", "retire")

    async def live_generation(self) -> int | None:
        """Return the number of the live generation, None when there is none."""
        number = await self.client.call("GET", self._live)
        return None if number is None else int(number)

    async def load(self, generation: int, endpoints: Sequence[str]) -> dict[str, tuple[int, State]]:
        """Return revision and state of each of *endpoints* that has a readable document."""
        raw: list[bytes | None] = []
        for at in range(0, len(endpoints), _CHUNK):
            raw += await self.client.call(
                "HMGET", self._documents(generation), *endpoints[at : at + _CHUNK]
            )
        return {
            endpoint: held
            for endpoint, document in zip(endpoints, raw, strict=True)
            if document is not None and (held := self.read(document)) is not None
        }

    async def load_all(self, generation: int) -> AsyncGenerator[tuple[int, State]]:
        """Yield revision and state of every readable document of *generation*."""
        cursor = b"0"
        while True:
            cursor, flat = await self.client.call(
                "HSCAN", self._documents(generation), cursor, "COUNT", _CHUNK
            )
            for document in flat.values() if isinstance(flat, dict) else flat[1::2]:
                if (held := self.read(document)) is not None:
                    yield held
            if int(cursor) == 0:
                return

    def read(self, document: bytes) -> tuple[int, State] | None:
        """Return revision and state of *document*, None where it is none of ours."""
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
            raise no_live_generation(self.projection.name)
        return (await self.load(generation, [endpoint])).get(endpoint)

    async def apply(
        self,
        generation: int,
        group: str,
        changes: Sequence[Change] = (),
        unchanged: Sequence[EntryId] = (),
    ) -> Applied:
        """Write *changes* and acknowledge their entries and *unchanged*, in one step.

        With neither, it only says whether the generation is live and whole.
        """
        args: list[Any] = [generation, self.projection.name, group, CHANGES_MAX, len(changes)]
        for change in changes:
            args += (change.endpoint, change.revision, change.document, len(change.entry_ids))
            args += map(str, change.entry_ids)
        args.append(len(unchanged))
        args += map(str, unchanged)
        keys = [
            self._live,
            self._documents(generation),
            self.changes,
            self._generations,
            self._keys.events(self.partition),
        ]
        outcome, *rest = await self._apply(keys, args)
        conflicts = {
            endpoint.decode(): document or None
            for endpoint, document in zip(rest[::2], rest[1::2], strict=True)
        }
        return Applied(stale=outcome == b"stale", conflicts=conflicts, lost=outcome == b"lost")

    async def new_generation(self) -> int:
        """Return a number that no generation of the projection has had before."""
        number = await self.client.call("HINCRBY", self._generations, self.projection.name, 1)
        return int(number)

    async def write(self, generation: int, documents: Sequence[tuple[str, bytes]]) -> None:
        """Write documents of a generation that is not live."""
        for at in range(0, len(documents), _CHUNK):
            flat = [part for pair in documents[at : at + _CHUNK] for part in pair]
            await self.client.call("HSET", self._documents(generation), *flat)

    async def discard(self, generation: int) -> None:
        """Delete the documents of a generation that is not live."""
        await self.client.call("UNLINK", self._documents(generation))

    async def check_whole(self, generation: int) -> None:
        """Raise DocumentsMissingError where *generation*, which is live, lacks documents."""
        counted = await self.client.call(
            "HGET", self._generations, f"{self.projection.name}:documents"
        )
        there = await self.client.call("HLEN", self._documents(generation))
        if there < int(counted or 0):
            raise DocumentsMissingError(
                f"read model {self.projection.name} has {there} of {int(counted)} documents;"
                " a projector builds it anew"
            )

    async def go_live(self, generation: int, seen: int | None, since: str | None = None) -> bool:
        """Make *generation* live if *seen* still is; say whether it was done.

        With *since*, the change feed's last entry must still be that one: nothing was written, and
        no other generation went live, after it was asked for.
        """
        keys = [self._live, self.changes, self._generations, self._documents(generation)]
        expected = "" if seen is None else seen
        last_change = "*" if since is None else since
        args = [expected, generation, self.projection.name, CHANGES_MAX, last_change]
        return bool(await self._swap(keys, args))

    async def retire(self, generation: int) -> None:
        """Take *generation* away if it is live, for another to be built."""
        await self._retire([self._live], [generation])

    async def last_change(self) -> str:
        """Return the id of the change feed's last entry, "" where there was none."""
        field = f"{self.projection.name}:changes"
        last = await self.client.call("HGET", self._generations, field)
        return last.decode() if last else ""

    def _documents(self, generation: int) -> str:
        return self._keys.documents(self.partition, self.projection.name, generation)


def no_live_generation(projection: str) -> NoLiveGenerationError:
    """Say what to do where a read model is missing."""
    return NoLiveGenerationError(
        f"read model {projection} has no live generation; `routestream consume {projection}`"
        " builds it from the log"
    )
