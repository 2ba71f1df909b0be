"""Starts the processes that are measured; each prints its figures as a line of JSON."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
"""The environment of the peers, made by `make bench-peers`."""

_LINE_BYTES_MAX = 10_000

Figures = dict[str, float]
"""What one process measured, by the name of the figure."""


class FailedProgramError(Exception):
    """A process that is measured failed, or took too long."""


async def figures_of(*command: str | Path, cwd: Path = ROOT) -> Figures:
    """Run a process to its end, and return what it printed last."""
    async with started(*command, cwd=cwd) as program:
        return await program.figures()


async def peer(module: str, *arguments: str) -> Figures:
    """Run a program of `benchmarks/peers` in the peers' environment."""
    return await figures_of(PEERS, "-m", f"benchmarks.peers.{module}", *arguments)


class Program:
    """A process that is told what to do by lines, and answers by lines."""

    def __init__(self, process: Process) -> None:
        if process.stdout is None or process.stdin is None:
            raise FailedProgramError("a program without its streams")
        self.process = process
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._stdin = process.stdin

    async def line(self) -> str:
        """Return the next line that it prints."""
        try:
            return (await self._lines.receive_until(b"\n", _LINE_BYTES_MAX)).decode()
        except (anyio.EndOfStream, anyio.IncompleteRead) as error:
            raise FailedProgramError("it ended without its figures") from error

    async def say(self, line: str) -> None:
        """Send it a line."""
        await self._stdin.send(f"{line}\n".encode())

    async def figures(self) -> Figures:
        """Return the figures on its next line."""
        return msgspec.json.decode(await self.line(), type=Figures)


@asynccontextmanager
async def started(*command: str | Path, cwd: Path = ROOT) -> AsyncIterator[Program]:
    """Run a process from the code below *cwd*; it does not outlive the block."""
    environment = {**os.environ, "PYTHONPATH": str(cwd)}
    async with await anyio.open_process(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stderr=None,
        stdin=subprocess.PIPE,
    ) as process:
        try:
            yield Program(process)
        finally:
            if process.returncode is None:
                process.kill()


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this environment."""
    return [sys.executable, "-m", module, *arguments]
