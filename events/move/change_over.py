"""Change over from a log to its copy: nothing that was appended is lost, nothing comes twice."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.abc import TaskStatus

from events.background import in_background
from events.entry.entry_id import END, EntryId
from events.errors import EventsError, ServerUnavailableError
from events.log.layout import LogPlace
from events.log.log import EventLog
from events.log.partition_chunk import read_chunk
from events.move.seal import SEALED_MS, Seal, Step

_RENEW_EVERY_S = SEALED_MS / 1_000 / 6
_SEALED_UNTIL_THEN = "run the move again: until then, the log is sealed, and producers wait"


class NotMovedError(EventsError):
    """A log could not be moved to its copy.

    It is where it was, and goes on there, unless the message says that it is sealed.
    """


class LogChangeOver:
    """The last step of a move from *source* to *target*, which has a copy of it.

    While the source is sealed, producers wait. A seal that is not renewed expires, so that they go
    on in the source if this process is killed. Once the seals are kept, nothing can be appended to
    the source any more; then its layout says where the log is, and the target is opened.

    Args:
        source: The log that moves.
        target: Its copy.
        place: How the source's layout names the target.
    """

    def __init__(self, source: EventLog, target: EventLog, place: LogPlace) -> None:
        self._source = source
        self._target = target
        self._place = place
        self._seal = Seal(source.server.client, source.keys, target.layout.identity or "")

    @asynccontextmanager
    async def sealed(self) -> AsyncIterator[None]:
        """Seal the source while the block runs; `commit` within it ends the move.

        Raises:
            NotMovedError: A partition has the seal of another move.
        """
        try:
            for partition in range(self._source.partitions):
                if not await self._seal.take(partition, "seal"):
                    raise NotMovedError(
                        f"partition {partition} of {self._source.keys.namespace!r} is sealed by"
                        " another move; end that one first"
                    )
            async with in_background(self._renew):
                yield
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                await self._lift()

    async def _renew(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        while True:
            await anyio.sleep(_RENEW_EVERY_S)
            for partition in range(self._source.partitions):
                await self._seal.take(partition, "renew")

    async def _take_all(self, step: Step, advice: str) -> None:
        for partition in range(self._source.partitions):
            if not await self._seal.take(partition, step):
                raise NotMovedError(
                    f"partition {partition} was sealed for more than {SEALED_MS / 1_000:.0f} s,"
                    f" and then no more; {advice}"
                )

    async def _lift(self) -> None:
        try:
            for partition in range(self._source.partitions):
                await self._seal.take(partition, "lift")
        except ServerUnavailableError:
            return  # they expire

    async def ends(self) -> list[EntryId]:
        """Return the newest id that each partition of the source ever had."""
        return [
            (await read_chunk(self._source, partition, END, END, 1)).last
            for partition in range(self._source.partitions)
        ]

    async def commit(self, ends: Sequence[EntryId]) -> None:
        """Let the log be at its new place from now on; all up to *ends* was copied there.

        Raises:
            NotMovedError: A seal had expired, or something was added in spite of it; run the move
                again, which copies that, too. Once the first seal is kept, the log is sealed until
                then, as it is after any other error.
        """
        await self._take_all("renew", "run the move again")
        await self._take_all("keep", _SEALED_UNTIL_THEN)
        if (now := await self.ends()) != list(ends):
            [partition, *_] = [p for p, end in enumerate(now) if end != ends[p]]
            raise NotMovedError(
                f"partition {partition} was appended to although it was sealed, up to"
                f" {now[partition]}: stop the programs that use XADD; {_SEALED_UNTIL_THEN}"
            )
        source, target = self._source, self._target
        place = msgspec.json.encode(
            msgspec.structs.replace(self._place, ends=tuple(map(str, ends)))
        )
        await source.server.client.call("HSET", source.keys.layout, "moved-to", place)
        await target.server.client.call("HDEL", target.keys.layout, "copy-of")
