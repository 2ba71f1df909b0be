"""Read how many partitions a log has, and ask each of them the same."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

from events.errors import LayoutError, first_failure
from events.log.keys import PARTITIONS_MAX, Keys
from events.server.reply import reply_or_none
from events.server.server import Client

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


_DIGITS_MAX = 9


_SHOWN_BYTES = 60


async def read_partitions(client: Client, keys: Keys) -> int | None:
    """Return the number of partitions in the log's layout, None if it has none.

    Raises:
        LayoutError: The layout holds no valid number.
    """
    held = await client.call("HGET", keys.layout, "partitions")
    return partitions_in(reply_or_none(held, bytes), keys)


def partitions_in(held: bytes | None, keys: Keys) -> int | None:
    """Return the number of partitions that the layout held, None if it held none.

    Raises:
        LayoutError: It is not a number that a log can have.
    """
    if held is None:
        return None
    if not held.isdigit() or len(held) > _DIGITS_MAX or not 1 <= int(held) <= PARTITIONS_MAX:
        shown = held[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
        raise LayoutError(
            f"field partitions of {keys.layout} is {shown!r}, not a number from 1 to"
            f" {PARTITIONS_MAX}; set it by `redis-cli HSET {keys.layout} partitions N` to as many"
            f" as `redis-cli --scan --pattern '{keys.events_pattern}'` lists"
        )
    return int(held)


async def log_exists(client: Client, keys: Keys, partitions: Iterable[int]) -> bool:
    """Whether there is a layout, or a key where one of *partitions* would lie."""
    names = (keys.layout, *(keys.events(partition) for partition in partitions))
    return bool(await client.call("EXISTS", *names))
