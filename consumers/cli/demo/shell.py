"""Runs `routestream` commands as a person would, and shows what they print."""

import os
import pty
import subprocess
from collections.abc import Callable, Mapping, Sequence

import anyio
import msgspec
from rich.console import Console
from rich.text import Text

from consumers.cli.demo.replica import DemoError
from consumers.processes.supervisor import routestream_command

_READ_BYTES = 65_536


class Printed(msgspec.Struct, frozen=True):
    """A command as it was typed, what it printed for a terminal, and its exit code.

    Attributes:
        talk: What it wrote to standard error.
        output: What it wrote to standard output, with its colours.
        columns: The width of the terminal.
    """

    command: str
    exit_code: int
    talk: str
    output: str
    columns: int

    @property
    def lines(self) -> Sequence[Text]:
        """All that it printed, wrapped as on the terminal, without empty lines around it."""
        talk = Text(self.talk.strip("\n"), "dim")
        parts = [talk, Text.from_ansi(self.output.strip("\n"))]
        whole = Text("\n").join(part for part in parts if part)
        lines = whole.wrap(Console(), self.columns)
        for line in lines:
            line.rstrip()
        return list(lines)


class Shell:
    """Runs commands on the deployment, at a terminal *columns* wide; passes each to *show*."""

    def __init__(
        self, environment: Mapping[str, str], columns: int, show: Callable[[Printed], None]
    ) -> None:
        self._columns = columns
        self._environment = {**environment, "COLUMNS": str(columns), "TERM": "xterm-256color"}
        self._show = show

    async def run(self, *arguments: str) -> Printed:
        """Run `routestream` with *arguments*, and show what it printed."""
        master, slave = pty.openpty()
        try:
            try:
                process = await anyio.open_process(
                    routestream_command(*arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=slave,
                    stderr=subprocess.PIPE,
                    env=self._environment,
                    start_new_session=True,
                )
            finally:
                os.close(slave)
            talk = bytearray()
            async with process, anyio.create_task_group() as reading:
                reading.start_soon(_read_talk, process, talk)
                output = await _read_terminal(master)
        finally:
            os.close(master)
        printed = Printed(
            " ".join(("routestream", *arguments)),
            process.returncode or 0,
            talk.decode(errors="replace"),
            output.decode(errors="replace").replace("\r\n", "\n"),
            self._columns,
        )
        self._show(printed)
        return printed

    async def try_out(self, *arguments: str) -> str:
        """Run `routestream` with *arguments*, show nothing, and return all that it printed."""
        done = await self._run_unseen(*arguments)
        return (done.stdout + done.stderr).decode(errors="replace")

    async def ask(self, *arguments: str) -> bytes:
        """Run `routestream` with *arguments*, show nothing, and return its standard output.

        Raises:
            DemoError: It failed.
        """
        done = await self._run_unseen(*arguments)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
            raise DemoError(f"`routestream {' '.join(arguments)}` failed and said: {said[-1]}")
        return done.stdout

    async def _run_unseen(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return await anyio.run_process(
            routestream_command(*arguments),
            env=self._environment,
            check=False,
            start_new_session=True,
        )


async def _read_talk(process: anyio.abc.Process, talk: bytearray) -> None:
    if process.stderr is not None:
        async for part in process.stderr:
            talk += part


async def _read_terminal(master: int) -> bytes:
    """Read until the other side is closed."""
    read = bytearray()
    while True:
        await anyio.wait_readable(master)
        try:
            part = os.read(master, _READ_BYTES)
        except OSError:  # Linux reports a closed other side like this
            return bytes(read)
        if not part:
            return bytes(read)
        read += part
