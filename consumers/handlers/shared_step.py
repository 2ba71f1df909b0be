"""Carries out what many callers ask for in one step."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio

Item = TypeVar("Item")
Reply = TypeVar("Reply")


class _Asked(Generic[Item, Reply]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.replies: list[Reply] = []
        self.error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return bool(self.replies) or self.error is not None


class SharedStep(Generic[Item, Reply]):
    """A step for many items at once, at most *items_max*: what is asked while one runs waits.

    A step costs about the same for one item as for a dozen. It must be idempotent: if the caller
    that carries it out is cancelled in the middle, another one repeats it. If it fails, it fails
    for all its items.
    """

    def __init__(
        self, step: Callable[[Sequence[Item]], Awaitable[Sequence[Reply]]], items_max: int
    ) -> None:
        self._step = step
        self._items_max = items_max
        self._asked: list[_Asked[Item, Reply]] = []
        self._running = anyio.Lock(fast_acquire=True)

    async def __call__(self, item: Item) -> Reply:
        """Return what the step replies for *item*, or raise what it raises."""
        asked: _Asked[Item, Reply] = _Asked(item)
        self._asked.append(asked)
        try:
            async with self._running:
                while not asked.is_done:
                    await self._run(self._asked[: self._items_max])
        finally:
            if asked in self._asked:
                self._asked.remove(asked)
        if asked.error is not None:
            raise asked.error
        return asked.replies[0]

    async def _run(self, together: Sequence[_Asked[Item, Reply]]) -> None:
        try:
            replies = await self._step([asked.item for asked in together])
        except Exception as error:  # noqa: BLE001 - raised to each of the callers
            for asked in together:
                asked.error = error
        else:
            for asked, reply in zip(together, replies, strict=True):
                asked.replies = [reply]
        self._asked = [asked for asked in self._asked if not asked.is_done]
