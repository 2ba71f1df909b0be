"""Ask each partition of a log the same."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

from events.errors import first_failure

ASKED_AT_ONCE = 8
"""Partitions that are asked at a time; each takes a connection of the pool meanwhile."""

Answer = TypeVar("Answer")


async def ask_each(
    partitions: Iterable[int], ask: Callable[[int], Awaitable[Answer]]
) -> dict[int, Answer]:
    """Return what each of *partitions* answers, in their order; `ASKED_AT_ONCE` at a time.

    If one fails, the others are cancelled, and the first failure is raised.
    """
    answers: dict[int, Answer] = {}
    limiter = anyio.CapacityLimiter(ASKED_AT_ONCE)

    async def ask_one(partition: int) -> None:
        async with limiter:
            answers[partition] = await ask(partition)

    asked = list(partitions)
    try:
        async with anyio.create_task_group() as tasks:
            for partition in asked:
                tasks.start_soon(ask_one, partition)
    except ExceptionGroup as failed:
        # The tasks are no concern of the caller: it gets the failure itself, not a group.
        raise first_failure(failed) from failed
    return {partition: answers[partition] for partition in asked}
