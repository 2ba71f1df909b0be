"""Appends that go on while servers fail, and what became of each: lost, doubled, invented."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import anyio

from events import EventLog
from events.errors import EventsError
from events.log.batch import Durability
from tests.support.running_consumer import created
from tests.support.waiting import wait_until

_PROGRESS_TIMEOUT_S = 90.0
_REFUSED_PAUSE_S = 0.02


class CountedAppends:
    """Appends by several tasks, each of one event for an endpoint of its own.

    Attributes:
        acknowledged: The endpoints whose event was said to be on as many replicas as was asked for.
        refused: How many appends failed; their events may be there, or not.
        longest_gap_s: The longest time in which none was acknowledged.
    """

    def __init__(self, log: EventLog, durability: Durability) -> None:
        self.acknowledged: set[UUID] = set()
        self.refused: Counter[str] = Counter()
        self.longest_gap_s = 0.0
        self._log = log
        self._durability = durability
        self._begun: set[UUID] = set()
        self._last = monotonic()
        self._is_stopping = False

    def __str__(self) -> str:
        done = f"{len(self._begun)} begun, {len(self.acknowledged)} acknowledged"
        return f"{done}, refused: {dict(self.refused)}, longest gap {self.longest_gap_s:.1f} s"

    async def run(self) -> None:
        """Append one event after the other until `stop`."""
        while not self._is_stopping:
            event = created()
            self._begun.add(event.endpoint_id)
            try:
                await self._log.append(event, durability=self._durability)
            except EventsError as error:
                self.refused[type(error).__name__] += 1
                await anyio.sleep(_REFUSED_PAUSE_S)
            else:
                self._note(event.endpoint_id)

    def stop(self) -> None:
        """Let each task end with the append that it is at."""
        self._is_stopping = True

    async def until_more(self, count: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        what = f"{count} more appends are acknowledged; refused: {dict(self.refused)}"
        await wait_until(lambda: len(self.acknowledged) >= wanted, what, _PROGRESS_TIMEOUT_S)

    async def assert_none_lost(self) -> None:
        """Fail unless each one that was acknowledged is there once, and none that nobody began."""
        found = Counter([one.event.endpoint_id async for one in self._log.read()])
        assert self.acknowledged - found.keys() == set(), "acknowledged and lost"
        assert found.keys() - self._begun == set(), "invented"
        assert {one: times for one, times in found.items() if times > 1} == {}, "there twice"

    def _note(self, endpoint_id: UUID) -> None:
        now = monotonic()
        self.longest_gap_s = max(self.longest_gap_s, now - self._last)
        self._last = now
        self.acknowledged.add(endpoint_id)


@asynccontextmanager
async def appending(
    log: EventLog, durability: Durability, tasks: int = 8
) -> AsyncIterator[CountedAppends]:
    """Append during the block; at its end, everything that was begun has ended."""
    appends = CountedAppends(log, durability)
    async with anyio.create_task_group() as running:
        for _ in range(tasks):
            running.start_soon(appends.run)
        await appends.until_more(tasks)
        yield appends
        appends.stop()
