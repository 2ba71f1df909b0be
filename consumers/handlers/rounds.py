"""Begins tries and ends them, many in one step."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from consumers.errors import LeaseLostError
from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.lanes import Lanes
from consumers.handlers.server_wait import until_served
from consumers.handlers.tries import Tries, Try
from consumers.runtime.outcome import DeadLetter, Retry
from events.entry.entry_id import EntryId
from events.errors import NoGroupError, ServerRefusedError, ServerUnavailableError

_LAST_ROUND_S = 0.5


class Rounds:
    """Tries the entries of an owner, *concurrency* at a time.

    Each round is one step in Redis: it ends the tries that are done, and notes those that begin
    next. So the end of an entry is stored before the next one of its endpoint is tried, and a try
    is noted before it begins: a process that dies of it cannot note it afterwards. No more tries
    are noted than run at a time: these alone are suspected if the process dies. What comes to its
    end during a round is part of the next one.
    """

    def __init__(self, tries: Tries, concurrency: int) -> None:
        self._tries = tries
        self._concurrency = concurrency
        self._lanes = Lanes(concurrency)
        self._begun: deque[Try] = deque()
        self._trying: dict[EntryId, Try] = {}
        self._done: list[Try] = []
        self._failed: list[Try] = []
        self._woken = anyio.Event()
        self._idle: list[anyio.Event] = []
        self._workers = 0
        self._is_helped = False
        self._is_stopped = False

    def add(self, held: EntryInHand) -> None:
        """Try *held* when the entries of its endpoint that were added before have ended."""
        self._lanes.add(held)
        self._woken.set()

    def waiting(self, from_s: float) -> list[UUID]:
        """Return the endpoints that wait at least *from_s* for a next try, the longest first."""
        return self._lanes.waiting(from_s)

    def release(self, endpoint_id: UUID) -> Sequence[EntryInHand]:
        """Return all entries of *endpoint_id*, which waits for a next try; none is tried here."""
        return self._lanes.release(endpoint_id)

    def stop(self) -> None:
        """Begin no further tries; `run` returns when those that run have ended."""
        self._is_stopped = True
        self._lanes.stop()
        self._woken.set()

    async def run(self) -> None:
        """Try entries until stopped.

        If it is cancelled, it ends what is done, and takes back the tries that were cut off: these
        say nothing against their entries. After a lost lease that cannot be noted, and they count
        as tries that never ended.
        """
        try:
            async with anyio.create_task_group() as workers:
                await self._go_round(workers)
                workers.cancel_scope.cancel()
        finally:
            if self._trying or self._done or self._failed:
                await self._take_back()
        if not self._is_stopped:
            raise RuntimeError("a worker was cancelled from elsewhere; nothing is tried any more")

    async def _go_round(self, workers: TaskGroup) -> None:
        while True:
            self._woken = anyio.Event()
            if await self._round():
                self._help(workers)
            elif self._is_stopped and not self._lanes.running:
                return
            else:
                with anyio.move_on_after(self._lanes.next_s()):
                    await self._woken.wait()

    async def _round(self) -> bool:
        """End what is done, begin what may; return False if there is nothing to do."""
        begun = self._begin()
        done, failed = self._done[:], self._failed[:]
        if not (begun or done or failed):
            return False
        noted = [one for one in begun if one.outcome is None]
        self._trying.update((one.held.entry_id, one) for one in noted)
        gone: set[EntryId] = set()
        if done or failed or noted:
            gone = await until_served(lambda: self._tries.settle(done, [*failed, *noted]))
        del self._done[: len(done)], self._failed[: len(failed)]
        for one in failed:
            self._put_off(one, gone)
        for one in begun:
            if one.held.entry_id in gone:
                del self._trying[one.held.entry_id]
                self._let_go(one.held)
            else:
                self._begun.append(one)
        if failed:
            self._tries.hands.wake()
        return True

    def _begin(self) -> list[Try]:
        begun = []
        while (held := self._lanes.next()) is not None:
            begun.append(self._tries.begin(held))
        return begun

    def _put_off(self, one: Try, gone: set[EntryId]) -> None:
        if one.held.entry_id in gone:
            self._let_go(one.held)
        elif isinstance(one.outcome, Retry):
            self._tries.put_off(one.held, one.outcome)
            self._lanes.put_off(one.held)

    def _let_go(self, held: EntryInHand) -> None:
        self._tries.let_go(held)
        self._lanes.end(held)

    def _help(self, workers: TaskGroup) -> None:
        """Have one more worker try what was begun; it calls for the next one itself."""
        if not self._begun or self._is_helped:
            return
        if self._idle:
            self._idle.pop().set()
        elif self._workers < self._concurrency:
            self._workers += 1
            workers.start_soon(self._work, workers)
        else:
            return
        self._is_helped = True

    async def _work(self, workers: TaskGroup) -> None:
        while True:
            self._is_helped = False
            while self._begun:
                one = self._begun.popleft()
                self._help(workers)
                await self._try(one)
            called = anyio.Event()
            self._idle.append(called)
            await called.wait()

    async def _try(self, one: Try) -> None:
        if one.outcome is None:
            one.outcome = await self._tries.carry_out(one)
            del self._trying[one.held.entry_id]
        if isinstance(one.outcome, Retry):
            one.held.failures += 1
            self._failed.append(one)
        elif isinstance(one.outcome, DeadLetter):
            await self._tries.give_up(one.held, one.outcome)
            self._lanes.end(one.held)
        else:
            self._done.append(one)
            self._lanes.end(one.held)
        self._woken.set()

    async def _take_back(self) -> None:
        for one in self._trying.values():
            one.held.begun -= 1
        noted = [*self._failed, *self._trying.values()]
        refusals = (LeaseLostError, NoGroupError, ServerRefusedError, ServerUnavailableError)
        with anyio.move_on_after(_LAST_ROUND_S, shield=True), suppress(*refusals):
            await self._tries.settle(self._done, noted)
