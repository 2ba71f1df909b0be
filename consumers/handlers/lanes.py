"""Tries entries of one endpoint one after another, and different endpoints concurrently."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from consumers.handlers.entry_in_hand import EntryInHand

Try = Callable[[EntryInHand], Awaitable[float | None]]
"""Tries an entry once; returns the seconds until the next try, None if the entry has ended."""


class Lanes:
    """One lane for each endpoint that has entries; an entry that waits for a try blocks its lane.

    It blocks no other lane. At most *concurrency* tries run at a time. An entry with an earlier
    try that never ended may kill the process, so nothing else is tried at the same time.
    """

    def __init__(self, attempt: Try, concurrency: int, tasks: TaskGroup) -> None:
        self._attempt = attempt
        self._concurrency = concurrency
        self._tasks = tasks
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._alone = anyio.Lock()
        self._lanes: dict[UUID, deque[EntryInHand]] = {}
        self._stopping = anyio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, attempt: Try, concurrency: int) -> AsyncIterator[Self]:
        """Open lanes for the block; at its end, finish the tries that are running."""
        async with anyio.create_task_group() as tasks:
            lanes = cls(attempt, concurrency, tasks)
            try:
                yield lanes
            finally:
                lanes.stop()

    def add(self, endpoint_id: UUID, held: EntryInHand) -> None:
        """Put *held* at the end of its endpoint's lane."""
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            self._lanes[endpoint_id] = deque([held])
            self._tasks.start_soon(self._run, endpoint_id)
        else:
            lane.append(held)

    def stop(self) -> None:
        """Begin no further tries."""
        self._stopping.set()

    async def _run(self, endpoint_id: UUID) -> None:
        lane = self._lanes[endpoint_id]
        while lane and await self._is_ended(lane[0]):
            lane.popleft()
        del self._lanes[endpoint_id]

    async def _is_ended(self, held: EntryInHand) -> bool:
        """Try *held* until it has ended; return False if a stop came first."""
        delay_s: float | None = held.after_s
        turn = self._turn_alone if held.unseen else self._turn
        while delay_s is not None:
            if delay_s > 0:
                with anyio.move_on_after(delay_s):
                    await self._stopping.wait()
            async with turn():
                if self._stopping.is_set():
                    return False
                delay_s = await self._attempt(held)
            turn = self._turn
        return True

    def _turn(self) -> AbstractAsyncContextManager[object]:
        return self._limiter

    @asynccontextmanager
    async def _turn_alone(self) -> AsyncGenerator[None]:
        """Wait until no try is running, and let no other begin."""
        borrowed: list[object] = []

        async def borrow() -> None:
            borrower = object()
            await self._limiter.acquire_on_behalf_of(borrower)
            borrowed.append(borrower)

        async with self._alone:
            try:
                async with anyio.create_task_group() as tasks:
                    for _ in range(self._concurrency):
                        tasks.start_soon(borrow)
                yield
            finally:
                for borrower in borrowed:
                    self._limiter.release_on_behalf_of(borrower)
