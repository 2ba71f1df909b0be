"""Starts processes, and restarts those that crash or hang."""

import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic

import anyio
from anyio.abc import Process

from consumers.processes.stopping import SOFT_STOP_TIMEOUT_S, stopping
from events.server.backoff import Backoff
from events.structured_logger import structured_logger

STABLE_S = 30.0
"""After a process has run for this long, its next restart has the shortest backoff again."""

HUNG_S = 30.0
"""A process that has given no sign of life for so long is killed, and started again."""

START_S = 60.0
"""The same until its first sign: a busy machine takes long to start a program."""

_SIGNS_BYTES = 4_096
_KILL_AFTER_S = SOFT_STOP_TIMEOUT_S + 2.0
_TELL_TIMEOUT_S = 1.0
_RESTART = Backoff(first_s=0.2, most_s=30.0)

_log = structured_logger(__name__)


class Supervisor:
    """Keeps one process running for each of its commands, until it is stopped.

    The standard input of a process is a socket to the supervisor. On it the process gives signs of
    life; and however the supervisor dies, its processes see the end of their input, and stop.
    *on_death* is called with the name of each process that ended unasked, before the next.

    Attributes:
        restarts: How often each process was restarted.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        *,
        environment: Mapping[str, str] | None = None,
        stderr: int | None = None,
        hung_s: float = HUNG_S,
        on_death: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._commands = commands
        self._environment = environment
        self._stderr = stderr
        self._hung_s = hung_s
        self._on_death = on_death
        self._processes: dict[str, Process] = {}
        self.restarts = dict.fromkeys(commands, 0)
        self._stopping = anyio.Event()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the commands that are running, by name."""
        return {n: p.pid for n, p in self._processes.items() if p.returncode is None}

    async def run(self) -> None:
        """Run until a signal comes; end when all processes have ended."""
        async with stopping(self.stop, timeout_s=_KILL_AFTER_S + 1.0):
            await self.keep_running()

    async def keep_running(self) -> None:
        """Keep all processes running until `stop`."""
        try:
            async with anyio.create_task_group() as tasks:
                for name, command in self._commands.items():
                    tasks.start_soon(self._keep, name, command)
        finally:
            self.kill()

    async def stop(self) -> None:
        """Let all processes stop softly; kill those that do not in time."""
        self._stopping.set()
        with anyio.move_on_after(_KILL_AFTER_S) as deadline:
            for process in self._processes.values():
                send_signal(process, signal.SIGTERM)
            for process in list(self._processes.values()):
                await process.wait()
        if deadline.cancelled_caught:
            for name, process in self._processes.items():
                if process.returncode is None:
                    _log.warning("process_killed", name=name, pid=process.pid)
                    send_signal(process, signal.SIGKILL)

    def kill(self) -> None:
        """End all processes at once; whoever runs the supervisor stops it then."""
        self._stopping.set()
        for process in self._processes.values():
            send_signal(process, signal.SIGKILL)

    async def _keep(self, name: str, command: Sequence[str]) -> None:
        crashes = 0
        while not self._stopping.is_set():
            started_at = monotonic()
            process, code = await self._run(name, command)
            if self._stopping.is_set():
                return
            crashes = 1 if monotonic() - started_at >= STABLE_S else crashes + 1
            delay_s = _RESTART.delay_s(crashes)
            _log.error(
                "process_crashed",
                name=name,
                pid=process.pid,
                code=code,
                restart_s=round(delay_s, 2),
            )
            if self._on_death is not None:
                with anyio.move_on_after(_TELL_TIMEOUT_S):
                    await self._on_death(name)
            with anyio.move_on_after(delay_s):
                await self._stopping.wait()
                return
            self.restarts[name] += 1

    async def _run(self, name: str, command: Sequence[str]) -> tuple[Process, int]:
        """Run the command until it ends; kill it where it hangs. Return it and its exit code."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await anyio.open_process(
                    command,
                    stdin=theirs.fileno(),
                    stdout=None,
                    stderr=self._stderr,
                    env=self._environment,
                    # Ctrl-C must reach only the supervisor, which sends a signal of its own.
                    start_new_session=True,
                )
            self._processes[name] = process
            if self._stopping.is_set():
                send_signal(process, signal.SIGTERM)
            _log.info("process_supervised", name=name, pid=process.pid)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._kill_where_hung, name, process, ours)
                code = await process.wait()
                tasks.cancel_scope.cancel()
        return process, code

    async def _kill_where_hung(self, name: str, process: Process, signs: socket.socket) -> None:
        """Return when the process ends its side of *signs*, or was killed for giving none."""
        signs.settimeout(0)
        limit_s = max(START_S, self._hung_s)
        while True:
            with anyio.move_on_after(limit_s):
                await anyio.wait_readable(signs)
            try:
                # Signs may have come while this process itself stood still.
                given = signs.recv(_SIGNS_BYTES)
            except BlockingIOError:
                _log.error("process_hung", name=name, pid=process.pid, silent_s=limit_s)
                send_signal(process, signal.SIGKILL)
                return
            except OSError:
                return
            if not given:
                return
            limit_s = self._hung_s


def send_signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to a process unless it has ended.

    `Popen.send_signal` looks first whether it has, and may so take its exit code from asyncio.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def routestream_command(*arguments: str) -> list[str]:
    """Return the command line that runs `routestream` with *arguments* in this environment."""
    return [sys.executable, "-P", "-m", "consumers", *arguments]
