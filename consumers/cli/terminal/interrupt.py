"""Makes Ctrl-C cancel a command, and wait for the work that it shields."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import anyio


def run_until_interrupted(run: Callable[[], Awaitable[None]]) -> None:
    """Run to the end, or until Ctrl-C; a second Ctrl-C does not wait for shielded work.

    asyncio's own handler cancels the task itself and ignores shields: a reply that is on its way
    would be lost, and with it the knowledge of what was done.

    Raises:
        KeyboardInterrupt: *run* was interrupted before its end.
    """

    async def run_in_scope() -> bool:
        with anyio.CancelScope() as scope, _cancelling(scope):
            await run()
        return scope.cancelled_caught

    if anyio.run(run_in_scope):
        raise KeyboardInterrupt


@contextmanager
def _cancelling(scope: anyio.CancelScope) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        loop.call_soon_threadsafe(scope.cancel)

    with _handled_by(on_interrupt):
        yield


@contextmanager
def interrupted_at_once() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in a block that waits for a person or must clean up."""
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set signal handlers
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
