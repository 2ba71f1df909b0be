"""Signals to a real process: the first stops it softly, the second does not wait."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import PIPE

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

PROGRAM = """
import sys
import anyio
from consumers.processes.logs import configure_logs
from consumers.processes.stopping import stopping

async def main(mode, timeout_s, supervised):
    finished = anyio.Event()

    async def soft_stop():
        print("soft", flush=True)
        if mode == "hangs":
            await anyio.sleep_forever()
        finished.set()

    async with stopping(soft_stop, timeout_s=timeout_s, supervised=supervised):
        print("ready", flush=True)
        if mode != "ends":
            await finished.wait()
            print("finished", flush=True)
    print("ended", flush=True)

configure_logs("error")
anyio.run(main, sys.argv[1], float(sys.argv[2]), sys.argv[3] == "supervised")
"""


class Child:
    """A process that prints what happens to it, line by line."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self.process = process
        self._lines = BufferedByteReceiveStream(process.stdout)

    async def says(self, *lines: str) -> None:
        with anyio.fail_after(20):
            for line in lines:
                assert (await self._lines.receive_until(b"\n", 1_000)).decode() == line

    async def ended(self) -> int:
        with anyio.fail_after(20):
            return await self.process.wait()


@asynccontextmanager
async def child(mode: str, timeout_s: float = 60.0, by: str = "alone") -> AsyncIterator[Child]:
    command = [sys.executable, "-P", "-c", PROGRAM, mode, str(timeout_s), by]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None) as process:
        try:
            running = Child(process)
            await running.says("ready")
            yield running
        finally:
            if process.returncode is None:
                process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_lets_it_finish(number: signal.Signals) -> None:
    async with child("finishes") as running:
        running.process.send_signal(number)
        await running.says("soft", "finished", "ended")
        assert await running.ended() == 0


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_the_second_signal_does_not_wait(
    first: signal.Signals, second: signal.Signals
) -> None:
    async with child("hangs") as running:
        running.process.send_signal(first)
        await running.says("soft")
        running.process.send_signal(second)
        await running.says("ended")
        assert await running.ended() == 0


async def test_a_soft_stop_that_takes_too_long_becomes_a_hard_one() -> None:
    async with child("hangs", timeout_s=0.2) as running:
        running.process.send_signal(signal.SIGTERM)
        await running.says("soft", "ended")
        assert await running.ended() == 0


async def test_without_a_signal_it_ends_when_its_work_does() -> None:
    async with child("ends") as running:
        await running.says("ended")
        assert await running.ended() == 0


async def test_a_supervised_process_stops_softly_when_its_supervisor_is_gone() -> None:
    async with child("finishes", by="supervised") as running:
        assert running.process.stdin is not None
        await running.process.stdin.send(b"a word from the supervisor changes nothing\n")
        await running.process.stdin.aclose()
        await running.says("soft", "finished", "ended")
        assert await running.ended() == 0


async def test_a_process_that_nobody_supervises_does_not_care_for_its_input() -> None:
    async with child("finishes") as running:
        assert running.process.stdin is not None
        await running.process.stdin.aclose()
        running.process.send_signal(signal.SIGTERM)
        await running.says("soft", "finished", "ended")
