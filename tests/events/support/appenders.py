"""Appends from many tasks at once, and what the log must have of them afterwards."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID, uuid4

import anyio
from msgspec.structs import replace

from events import MEMORY, Durability, EventLog, Metadata
from events.entry.entry_id import EntryId
from events.errors import NotDurableError, ServerUnavailableError, UncertainAppendError
from tests.support.histories import created
from tests.support.waiting import wait_until

_FROM_THE_SERVER_S = 60.0


class Appenders:
    """So many tasks, each of which appends to an endpoint of its own, one after another.

    Attributes:
        acknowledged: Request -> the entry that its appender was told.
        doubtful: Requests that may be in the log, or are there and not as safe as was asked for.
        refused: Requests that are certainly not there.
        longest_s: The longest time between two acknowledged appends of one appender.
    """

    def __init__(self, log: EventLog, durability: Durability = MEMORY) -> None:
        self._log = log
        self._durability = durability
        self._stopping = anyio.Event()
        self._asked: set[str] = set()
        self.acknowledged: dict[str, EntryId] = {}
        self.doubtful: set[str] = set()
        self.refused = 0
        self.longest_s = 0.0

    @asynccontextmanager
    async def running(self, count: int = 16) -> AsyncIterator[None]:
        """Append meanwhile; at the end, until each has been told of one append more."""
        async with anyio.create_task_group() as tasks:
            for endpoint_id in (uuid4() for _ in range(count)):
                tasks.start_soon(self._append, endpoint_id)
            yield
            self._stopping.set()
            tasks.cancel_scope.deadline = anyio.current_time() + _FROM_THE_SERVER_S
        assert not tasks.cancel_scope.cancelled_caught, "an appender was told of nothing any more"

    async def until(self, more: int) -> None:
        """Wait until *more* appends were acknowledged than now."""
        wanted = len(self.acknowledged) + more
        await wait_until(
            lambda: len(self.acknowledged) >= wanted, f"{more} more appends", _FROM_THE_SERVER_S
        )

    async def _append(self, endpoint_id: UUID) -> None:
        number, told_at = 0, monotonic()
        is_last_told = True
        while not self._stopping.is_set() or not is_last_told:
            number += 1
            request_id = f"{endpoint_id}:{number}"
            event = replace(created(name=f"v{number}"), endpoint_id=endpoint_id)
            self._asked.add(request_id)
            is_last_told = False
            try:
                appended = await self._log.append(
                    event, durability=self._durability, metadata=Metadata(request_id=request_id)
                )
            except (UncertainAppendError, NotDurableError):
                self.doubtful.add(request_id)
            except ServerUnavailableError:
                self.refused += 1
            else:
                is_last_told = True
                self.acknowledged[request_id] = appended.entry_ids[0]
                self.longest_s = max(self.longest_s, monotonic() - told_at)
                told_at = monotonic()

    async def faults(self) -> dict[str, list[str]]:
        """Return what of it the log lacks, has twice, or has out of order or uncalled for."""
        there: Counter[str] = Counter()
        numbers: dict[UUID, list[int]] = {}
        async for recorded in self._log.current.read():
            request_id = recorded.metadata.request_id or ""
            if request_id in self._asked:
                there[request_id] += 1
                number = int(request_id.split(":")[1])
                numbers.setdefault(recorded.endpoint_id, []).append(number)
        faults = {
            "lost": self.acknowledged.keys() - there.keys(),
            "doubled": {one for one, count in there.items() if count > 1},
            "invented": there.keys() - self.acknowledged.keys() - self.doubtful,
            "disordered": {str(one) for one, seen in numbers.items() if seen != sorted(seen)},
        }
        return {kind: sorted(some) for kind, some in faults.items() if some}
