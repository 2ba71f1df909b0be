"""Asking all partitions of a log the same."""

import anyio
import anyio.lowlevel
import pytest

from events.errors import ServerUnavailableError
from events.log.partitions import ASKED_AT_ONCE, ask_each


async def test_as_many_as_may_be_are_asked_at_once_and_answers_stay_in_order() -> None:
    asked: list[int] = []
    waiting = {partition: anyio.Event() for partition in range(ASKED_AT_ONCE + 2)}

    async def ask(partition: int) -> str:
        asked.append(partition)
        if len(asked) == ASKED_AT_ONCE:
            for one in reversed(asked):
                waiting[one].set()
        elif len(asked) > ASKED_AT_ONCE:
            waiting[partition].set()
        await waiting[partition].wait()
        return f"p{partition}"

    with anyio.fail_after(30):
        answers = await ask_each(waiting, ask)
    assert list(answers.items()) == [(p, f"p{p}") for p in range(ASKED_AT_ONCE + 2)]


async def test_never_more_than_that_are_asked_at_once() -> None:
    now, most = 0, 0

    async def ask(_partition: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.lowlevel.checkpoint()
        now -= 1

    await ask_each(range(5 * ASKED_AT_ONCE), ask)
    assert most == ASKED_AT_ONCE


async def test_the_first_failure_is_raised_as_it_is_and_ends_the_others() -> None:
    async def ask(partition: int) -> None:
        if partition == 1:
            raise ServerUnavailableError("away")
        await anyio.sleep_forever()

    with anyio.fail_after(30), pytest.raises(ServerUnavailableError, match="away"):
        await ask_each(range(3), ask)
