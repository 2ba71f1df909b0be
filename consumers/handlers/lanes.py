"""Tries entries of one endpoint one after another, and different endpoints concurrently."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Self
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from consumers.handlers.entry_in_hand import EntryInHand

Try = Callable[[EntryInHand], Awaitable[bool]]
"""Tries an entry once; returns whether it has ended. Otherwise it says when it is due again."""

ALONE_S = 0.25
"""A suspect waits so long at most to be alone, and is alone for so long at most."""


@dataclass(slots=True)
class _Lane:
    entries: deque[EntryInHand]
    woken: anyio.Event = field(default_factory=anyio.Event)
    is_released: bool = False


class Lanes:
    """One lane for each endpoint that has entries; an entry that waits for a try blocks its lane.

    It blocks no other lane. At most *concurrency* tries run at a time. An entry with an earlier
    try that never ended is suspected to kill its process: its next try begins alone, so that few
    others die with it, but waits no longer than `ALONE_S` for that, and blocks others no longer.
    """

    def __init__(
        self, attempt: Try, concurrency: int, tasks: TaskGroup, alone_s: float = ALONE_S
    ) -> None:
        self._attempt = attempt
        self._concurrency = concurrency
        self._tasks = tasks
        self._alone_s = alone_s
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._alone = anyio.CapacityLimiter(1)
        self._lanes: dict[UUID, _Lane] = {}
        self._stopping = anyio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, attempt: Try, concurrency: int, alone_s: float = ALONE_S
    ) -> AsyncIterator[Self]:
        """Open lanes for the block; at its end, finish the tries that are running."""
        async with anyio.create_task_group() as tasks:
            lanes = cls(attempt, concurrency, tasks, alone_s)
            try:
                yield lanes
            finally:
                lanes.stop()

    def add(self, held: EntryInHand) -> None:
        """Put *held* at the end of its endpoint's lane."""
        lane = self._lanes.get(held.endpoint_id)
        if lane is None:
            lane = self._lanes[held.endpoint_id] = _Lane(deque([held]))
            self._tasks.start_soon(self._run, held.endpoint_id, lane)
        else:
            lane.entries.append(held)

    def waiting(self, from_s: float) -> list[UUID]:
        """Return the endpoints that wait at least *from_s* for a next try, the longest first."""
        earliest_at = monotonic() + from_s
        due = [(lane.entries[0].due_at, one) for one, lane in self._lanes.items()]
        return [one for due_at, one in sorted(due, reverse=True) if due_at >= earliest_at]

    def release(self, endpoint_id: UUID) -> Sequence[EntryInHand]:
        """Return all entries of the lane of *endpoint_id*, which waits, and end the lane."""
        lane = self._lanes.pop(endpoint_id)
        lane.is_released = True
        lane.woken.set()
        return lane.entries

    def stop(self) -> None:
        """Begin no further tries."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.woken.set()

    async def _run(self, endpoint_id: UUID, lane: _Lane) -> None:
        while lane.entries and await self._is_ended(lane, lane.entries[0]):
            lane.entries.popleft()
        if self._lanes.get(endpoint_id) is lane:
            del self._lanes[endpoint_id]

    async def _is_ended(self, lane: _Lane, held: EntryInHand) -> bool:
        """Try *held* until it has ended; return False if a stop or a release came first."""
        turn = self._turn_alone if held.unseen else self._turn
        while not self._stopping.is_set():
            if (delay_s := held.due_at - monotonic()) > 0:
                with anyio.move_on_after(delay_s):
                    await lane.woken.wait()
            if lane.is_released:
                return False
            async with turn():
                if self._stopping.is_set():
                    return False
                if await self._attempt(held):
                    return True
            turn = self._turn
        return False

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        async with self._limiter:
            yield

    @asynccontextmanager
    async def _turn_alone(self) -> AsyncGenerator[None]:
        """Wait for a while until no try is running, and let no other begin for a while."""
        others = _Borrowed()
        async with anyio.create_task_group() as tasks:
            with anyio.move_on_after(self._alone_s):
                await others.borrow(self._alone)
            async with self._limiter:
                if others:
                    with anyio.move_on_after(self._alone_s):
                        await others.borrow(self._limiter, self._concurrency - 1)
                    tasks.start_soon(self._share, others)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
                    others.give_back()

    async def _share(self, others: "_Borrowed") -> None:
        await anyio.sleep(self._alone_s)
        others.give_back()


class _Borrowed:
    """Places of limiters that are kept from others."""

    def __init__(self) -> None:
        self._places: list[tuple[anyio.CapacityLimiter, object]] = []

    def __bool__(self) -> bool:
        return bool(self._places)

    async def borrow(self, limiter: anyio.CapacityLimiter, count: int = 1) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(self._borrow, limiter)

    async def _borrow(self, limiter: anyio.CapacityLimiter) -> None:
        borrower = object()
        await limiter.acquire_on_behalf_of(borrower)
        self._places.append((limiter, borrower))

    def give_back(self) -> None:
        while self._places:
            limiter, borrower = self._places.pop()
            limiter.release_on_behalf_of(borrower)
