"""Tasks in the background of a block: how each way to fail reaches the caller."""

import anyio
import pytest
from anyio.abc import TaskStatus

from events.background import in_background


class _Flag:
    """Whether the task that waits for ever was ended."""

    is_up = False

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            self.is_up = True


async def failing(*, task_status: TaskStatus[None]) -> None:
    task_status.started()
    await anyio.lowlevel.checkpoint()
    raise LookupError("of the task")


async def unable_to_start(*, task_status: TaskStatus[None]) -> None:
    raise OSError(f"no server for {task_status}")


async def test_the_tasks_end_with_the_block() -> None:
    ended = _Flag()
    async with in_background(ended.run):
        assert not ended.is_up
    assert ended.is_up


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    ended, error = _Flag(), ValueError("of the block")
    with pytest.raises(ValueError, match="of the block") as raised:
        async with in_background(ended.run):
            raise error
    assert raised.value is error
    assert ended.is_up


async def test_an_error_of_a_task_that_starts_is_raised_as_it_is() -> None:
    ended = _Flag()
    with pytest.raises(OSError, match="no server"):
        async with in_background(ended.run, unable_to_start):
            pytest.fail("the block began")
    assert ended.is_up


async def test_a_task_that_fails_cancels_the_block() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with in_background(failing):
            await anyio.sleep_forever()
    assert [str(error) for error in raised.value.exceptions] == ["of the task"]


async def test_what_fails_in_both_is_raised_together() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("of the block")

    with pytest.raises(ExceptionGroup) as raised:
        async with in_background(failing):
            await fail_when_cancelled()
    assert {str(error) for error in raised.value.exceptions} == {"of the task", "of the block"}


async def test_a_cancelled_block_is_cancelled() -> None:
    ended = _Flag()
    with anyio.move_on_after(0.01) as deadline:
        async with in_background(ended.run):
            await anyio.sleep_forever()
    assert deadline.cancelled_caught
    assert ended.is_up
