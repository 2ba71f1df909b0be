"""Keep the generations of a read model: its builds, one of which is live."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from events.entry.entry_id import EntryId
from events.errors import DamagedValueError, InvalidPositionError
from events.log.keys import Keys
from events.server.reply import reply, reply_or_none
from events.server.reply import whole_number as stored_number
from events.server.server import Server
from projections.errors import HistoryMissingError, UnreadableGenerationError

CHANGES_MAX = 1_000
"""Approximate length of the change feed: a reader that missed more loads everything again."""

BUILD_TTL_S = 600
"""Seconds for which a generation that is not live keeps its documents after the last write."""

WRITE_CHUNK = 500
"""Documents that are written or read at a time."""

Swapped = Literal["live", "moved", "ahead", "short", "gone"]


class Kept(msgspec.Struct, frozen=True):
    """The generation that was live before the current one.

    It has folded all entries before *since*; *documents* is how many documents it had when it was
    replaced.
    """

    generation: int
    since: EntryId
    documents: int


class Generations:
    """The generations of one read model in one partition.

    Documents of a generation that is being built have a time to live, which is removed when it
    goes live: the documents of a killed build expire.

    Attributes:
        identity: The log from which the documents are folded, None for any: where the partition
            belongs to another log now, nothing is applied and nothing goes live.
    """

    def __init__(self, server: Server, keys: Keys, read_model: str, partition: int) -> None:
        self.client = server.client
        self.read_model = read_model
        self.partition = partition
        self.changes = keys.changes(partition, read_model)
        self.identity: str | None = None
        self.keys = keys
        self._live = keys.live(partition, read_model)
        self._pause = keys.pause(partition, read_model)
        self._generations = keys.generations(partition)
        self._new = server.client.script("projections.read_model", "new_generation")
        self._swap = server.client.script("projections.read_model", "swap")
        self._retire = server.client.script("projections.read_model", "retire")

    async def live_generation(self) -> int | None:
        """Return the number of the live generation, None where there is none.

        Raises:
            UnreadableGenerationError: The value is not a number.
        """
        raw = await self.client.call("GET", self._live)
        return whole_number(reply_or_none(raw, bytes), self._live)

    async def kept(self) -> Kept | None:
        """Return the generation that was live before, None where none is kept.

        Raises:
            UnreadableGenerationError: The values are not two numbers and an entry id.
        """
        names = ("kept", "kept-since", "kept-documents")
        fields = [f"{self.read_model}:{name}" for name in names]
        held = await self.client.call("HMGET", self._generations, *fields)
        raw, since, counted = reply(held, list[bytes | None])
        generation = whole_number(raw, self._generations, fields[0])
        documents = whole_number(counted, self._generations, fields[2]) or 0
        if generation is None or not await self.client.call(
            "EXISTS", self._documents_key(generation)
        ):
            return None
        try:
            return Kept(generation, EntryId.parse(since or b""), documents)
        except InvalidPositionError:
            place, held = (self._generations, fields[1]), since or b""
            raise UnreadableGenerationError(*place, held, "an entry id") from None

    async def new_generation(self) -> int:
        """Return a number that no generation of the read model has had before, or will have."""
        return reply(await self._new([self._generations], [self.read_model]), int)

    async def write(
        self, generation: int, documents: Iterable[tuple[str, bytes]], *, is_kept: bool = False
    ) -> None:
        """Write documents of a generation that is not live, in chunks as they are produced."""
        key, remaining = self._documents_key(generation), iter(documents)
        while chunk := list(islice(remaining, WRITE_CHUNK)):
            flat = [part for pair in chunk for part in pair]
            await self.client.call("HSET", key, *flat)
            if not is_kept:
                await self.client.call("EXPIRE", key, BUILD_TTL_S)

    async def count(self, generation: int) -> int:
        """Return how many documents *generation* has."""
        return reply(await self.client.call("HLEN", self._documents_key(generation)), int)

    async def discard(self, generation: int) -> None:
        """Delete the documents of a generation that is not live."""
        await self.client.call("UNLINK", self._documents_key(generation))

    async def go_live(
        self,
        generation: int,
        seen: int | None,
        since: bytes | None = None,
        count: int | None = None,
    ) -> bool:
        """Make *generation* live if *seen* still is; return whether it was done.

        With *since*, the change feed's last entry must still be that one: nothing was written, and
        no other generation went live, after *since* was read. With *count*, the generation must
        have exactly that many documents.
        """
        last_change = b"*" if since is None else since
        return await self._swapped(generation, seen, last_change=last_change, count=count) == "live"

    async def pause(self, generation: int, seconds: float) -> None:
        """Make the group wait with its next apply until *generation* is live or *seconds* are over.

        Otherwise a group that is never idle would be ahead of every generation. The pause decides
        only which of the two goes first: the swap still checks what was acknowledged.
        """
        asked_ms = round(seconds * 1_000)
        await self.client.call("SET", self._pause, f"{generation} {asked_ms}", "PX", asked_ms)

    async def swap(
        self,
        generation: int,
        seen: int | None,
        position: EntryId,
        documents: Sequence[tuple[str, bytes]] = (),
        count: int | None = None,
    ) -> Swapped:
        """Write *documents*, the last of *count*, and make *generation* live in the same step.

        *generation* has folded all entries up to *position*; the swap is refused while the group
        has acknowledged anything after it. The generation that was live is kept, the one that was
        kept before is deleted.
        """
        return await self._swapped(
            generation, seen, position=str(position), documents=documents, count=count
        )

    async def _swapped(
        self,
        generation: int,
        seen: int | None,
        *,
        last_change: bytes = b"*",
        position: str = "",
        documents: Sequence[tuple[str, bytes]] = (),
        count: int | None = None,
    ) -> Swapped:
        field = f"{self.read_model}:kept"
        raw = reply_or_none(await self.client.call("HGET", self._generations, field), bytes)
        before = whole_number(raw, self._generations, field)
        kept = "" if raw is None else raw.decode()
        keys = [
            *(self._live, self.changes, self._generations, self._documents_key(generation)),
            *(self.keys.events(self.partition), self._documents_key(before or 0), self._pause),
            self.keys.identity(self.partition),
        ]
        args: list[Any] = [
            *("" if seen is None else seen, generation, self.read_model, CHANGES_MAX),
            *(last_change, position, kept, "*" if count is None else count),
            *(self.identity or "", len(documents)),
        ]
        args += [part for pair in documents for part in pair]
        answer = reply(await self._swap(keys, args), bytes).decode()
        outcome: Swapped = msgspec.convert(answer, Swapped)
        if outcome == "gone":
            raise HistoryMissingError(
                f"partition {self.partition}: log {self.identity}, from which generation"
                f" {generation} of {self.read_model} was folded, is gone"
            )
        return outcome

    async def retire(self, generation: int) -> None:
        """End *generation* if it is live, so that another is built."""
        await self._retire([self._live, self._documents_key(generation)], [generation, BUILD_TTL_S])

    async def last_change(self) -> bytes:
        """Return the id of the change feed's last entry as it is kept, empty where none is."""
        field = f"{self.read_model}:changes"
        return reply_or_none(await self.client.call("HGET", self._generations, field), bytes) or b""

    def _documents_key(self, generation: int) -> str:
        """Return the key of the generation's documents."""
        return self.keys.documents(self.partition, self.read_model, generation)


def whole_number(raw: bytes | None, key: str, field: str | None = None) -> int | None:
    """Return *raw*, the value of *key* or of its *field*, as a number; None where it is missing.

    Raises:
        UnreadableGenerationError: The value is not a whole number.
    """
    if raw is None:
        return None
    try:
        return stored_number(raw)
    except DamagedValueError:
        raise UnreadableGenerationError(key, field, raw, "a whole number") from None
