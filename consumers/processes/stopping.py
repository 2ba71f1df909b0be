"""Stops a process: the first signal asks for a soft stop, the second one forces a hard stop."""

import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import TaskStatus

from consumers.processes.moved_log import LogMoves
from events.structured_logger import structured_logger

SOFT_STOP_TIMEOUT_S = 10.0
"""Time for entries in flight to end; after it they are cancelled, and stay pending."""

SIGN_EVERY_S = 1.0
"""Seconds between two signs of life that a process gives its supervisor."""

_log = structured_logger(__name__)


async def always() -> bool:
    """Return True: a process is alive as long as it answers."""
    return True


@asynccontextmanager
async def stopping(
    soft_stop: Callable[[], Awaitable[None]],
    *,
    timeout_s: float = SOFT_STOP_TIMEOUT_S,
    supervised: bool = False,
    is_alive: Callable[[], Awaitable[bool]] = always,
    moves: LogMoves | None = None,
) -> AsyncIterator[None]:
    """Run the block; the first signal to stop ends it softly, the second one hard.

    Args:
        soft_stop: Asks the block to end.
        timeout_s: Seconds from the soft stop to the hard stop.
        supervised: Also stop softly when standard input ends, which means the supervisor is gone;
            and give the supervisor signs of life, for it restarts a process that gives none.
        is_alive: Whether to give the next sign: whether the block makes progress.
        moves: Also stop softly when the log has moved; the process then goes on with the next one.
    """
    asked = anyio.Event()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_receive_signals, asked, tasks.cancel_scope, moves)
        if supervised:
            tasks.start_soon(_watch_supervisor, asked, moves)
            tasks.start_soon(give_signs, is_alive)
        if moves is not None:
            tasks.start_soon(_watch_moves, asked, moves)
        tasks.start_soon(_stop_softly, asked, soft_stop, tasks.cancel_scope, timeout_s)
        yield
        tasks.cancel_scope.cancel()


async def _receive_signals(
    asked: anyio.Event,
    scope: anyio.CancelScope,
    moves: LogMoves | None,
    *,
    task_status: TaskStatus[None],
) -> None:
    with anyio.open_signal_receiver(*_signals()) as signals:
        task_status.started()
        async for number in signals:
            if moves is not None:
                moves.is_over = True
            if asked.is_set():
                _log.warning("hard_stop", signal=number.name)
                scope.cancel()
                return
            _log.info("soft_stop", signal=number.name)
            asked.set()


def _signals() -> list[signal.Signals]:
    """Return the signals to stop; SIGHUP, from a closed terminal, unless it is ignored."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hangup]


async def _watch_moves(asked: anyio.Event, moves: LogMoves) -> None:
    await moves.wait()
    asked.set()


async def _watch_supervisor(asked: anyio.Event, moves: LogMoves | None) -> None:
    while True:
        await anyio.wait_readable(sys.stdin)
        if not os.read(sys.stdin.fileno(), 4_096):
            break
    _log.warning("soft_stop", why="the supervisor is gone")
    if moves is not None:
        moves.is_over = True
    asked.set()


async def give_signs(is_alive: Callable[[], Awaitable[bool]] = always) -> None:
    """Write to standard input while alive: a supervisor of ours gives a socket."""
    if not stat.S_ISSOCK(os.fstat(sys.stdin.fileno()).st_mode):
        return
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as supervisor:
        while True:
            if await is_alive():
                # A supervisor that does not read them must not hold up the work.
                with suppress(OSError):
                    supervisor.send(b".", socket.MSG_DONTWAIT)
            await anyio.sleep(SIGN_EVERY_S)


async def _stop_softly(
    asked: anyio.Event,
    soft_stop: Callable[[], Awaitable[None]],
    scope: anyio.CancelScope,
    timeout_s: float,
) -> None:
    await asked.wait()
    with anyio.move_on_after(timeout_s) as deadline:
        await soft_stop()
    if deadline.cancelled_caught:
        _log.warning("hard_stop", after_s=timeout_s)
        scope.cancel()
