"""Makes Ctrl-C cancel a command, and wait for the work that it shields."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
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


class Interruption:
    """Notes the signals to stop; the first one cancels what `cancelling` was given.

    Attributes:
        count: How many came.
        came: Set by the first.
    """

    def __init__(self) -> None:
        self.count = 0
        self.came = threading.Event()
        self._cancel: Callable[[], object] | None = None
        self._again: Callable[[], object] | None = None

    @contextmanager
    def cancelling(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Let the first signal cancel *scope* during the block."""
        self._cancel = partial(asyncio.get_running_loop().call_soon_threadsafe, scope.cancel)
        if self.count:
            scope.cancel()
        try:
            yield
        finally:
            self._cancel = self._again = None

    def hurry(self, again: Callable[[], object]) -> None:
        """Let each later signal call *again* until the end of `cancelling`."""
        self._again = partial(asyncio.get_running_loop().call_soon_threadsafe, again)

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        self.count += 1
        self.came.set()
        act = self._cancel if self.count == 1 else self._again
        if act is not None:
            act()


@contextmanager
def noted_interrupts() -> Iterator[Interruption]:
    """Note SIGINT, SIGTERM and SIGHUP during the block, which nothing then breaks off halfway.

    What the block has started it can end in order, however impatient a person is. After a signal
    the program ends, so that later ones are ignored.
    """
    interruption = Interruption()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interruption.note) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if interruption.count else handler)


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
