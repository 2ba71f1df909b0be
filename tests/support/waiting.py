"""Waiting in tests: until something is so, never for a time."""

from collections.abc import Awaitable, Callable

import anyio

_LOOK_EVERY_S = 0.02


async def wait_until(
    condition: Callable[[], Awaitable[bool] | bool], what: str, timeout_s: float = 20.0
) -> None:
    """Return as soon as *condition* holds; fail the test when that takes too long."""
    with anyio.move_on_after(timeout_s):
        while not await _holds(condition):  # noqa: ASYNC110 - what is outside has no event
            await anyio.sleep(_LOOK_EVERY_S)
        return
    # An ordinary error: a task group hands it on as such, and pytest can show it.
    raise AssertionError(f"not within {timeout_s} s: {what}")


async def _holds(condition: Callable[[], Awaitable[bool] | bool]) -> bool:
    held = condition()
    return held if isinstance(held, bool) else await held
