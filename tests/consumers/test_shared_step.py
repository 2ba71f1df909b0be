"""Steps that several callers share."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from consumers.handlers.shared_step import SharedStep
from events.errors import ServerUnavailableError

DEADLINE_S = 20.0


class Steps:
    """A step that waits until it may go on, and remembers what was asked of it."""

    def __init__(self, items_max: int = 100) -> None:
        self.seen: list[list[int]] = []
        self.replies: dict[int, int] = {}
        self.errors: list[int] = []
        self.may_go_on = anyio.Event()
        self.began = anyio.Event()
        self.fails = False
        self.shared = SharedStep(self._run, items_max)

    async def _run(self, items: Sequence[int]) -> list[int]:
        self.seen.append(list(items))
        self.began.set()
        await self.may_go_on.wait()
        if self.fails:
            raise ServerUnavailableError("it is away")
        return [10 * item for item in items]

    async def ask(self, item: int) -> None:
        try:
            self.replies[item] = await self.shared(item)
        except ServerUnavailableError:
            self.errors.append(item)


async def _all_asked() -> None:
    await anyio.wait_all_tasks_blocked()


async def test_what_is_asked_while_a_step_runs_is_in_the_next_one_together() -> None:
    steps = Steps(items_max=3)
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            for item in range(1, 6):
                tasks.start_soon(steps.ask, item)
            await _all_asked()
            steps.may_go_on.set()
    assert steps.seen in ([[1], [2, 3, 4], [5]], [[1, 2, 3], [4, 5]])
    assert steps.replies == {item: 10 * item for item in range(1, 6)}


async def test_a_step_whose_caller_is_cancelled_is_repeated_for_the_others() -> None:
    steps = Steps()
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()

            async def ask_first() -> None:
                with first:
                    await steps.ask(1)

            tasks.start_soon(ask_first)
            await steps.began.wait()
            tasks.start_soon(steps.ask, 2)
            await _all_asked()
            first.cancel()
            steps.may_go_on.set()
    assert steps.replies == {2: 20}
    assert steps.seen == [[1], [2]]


async def test_a_step_that_fails_fails_for_all_and_the_next_one_does_not() -> None:
    steps = Steps()
    steps.fails = True
    steps.may_go_on.set()
    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(steps.ask, 1)
            tasks.start_soon(steps.ask, 2)
        assert sorted(steps.errors) == [1, 2]
        steps.fails = False
        await steps.ask(3)
    assert steps.replies == {3: 30}


@pytest.mark.parametrize("asked", [1, 2])
async def test_one_caller_after_another_is_answered(asked: int) -> None:
    steps = Steps()
    steps.may_go_on.set()
    with anyio.fail_after(DEADLINE_S):
        for item in range(asked):
            await steps.ask(item)
    assert steps.replies == {item: 10 * item for item in range(asked)}
