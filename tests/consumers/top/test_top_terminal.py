"""`routestream top` for real: in a pseudo-terminal, with its keys as bytes."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from events import EventLog
from tests.consumers.support.live_view import deploy

TIMEOUT_S = 40.0
TAKEN = (b"\x1b[?1049h", b"\x1b[?1000h")
"""What takes the screen and the mouse."""

COMMAND = [sys.executable, "-m", "consumers", "top"]


class Terminal:
    """A terminal of 80 columns and 24 lines, and the program that runs in it."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process = process
        self.master = master
        self.seen = b""

    def until(self, *wanted: bytes) -> None:
        """Read until all of *wanted* has come."""
        deadline = time.monotonic() + TIMEOUT_S
        while not all(one in self.seen for one in wanted):
            assert time.monotonic() < deadline, self.seen[-2_000:]
            self._read(0.2)

    def until_gone(self) -> int:
        """Read until the program has ended, and return its exit code."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen[-2_000:]
            self._read(0.2)
        self._read(0.2)  # what it drew last
        return self.process.wait()

    def _read(self, timeout_s: float) -> None:
        if select.select([self.master], [], [], timeout_s)[0]:
            try:
                self.seen += os.read(self.master, 65_536)
            except OSError:  # the program has closed its end
                time.sleep(0)


@contextmanager
def terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        COMMAND,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", **environment},
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)


def watched(url: str, namespace: str) -> tuple[int, bytes]:
    with terminal({"REDIS_URL": url, "ROUTESTREAM_NAMESPACE": namespace}) as shown:
        shown.until(b"\x1b[?1049h", b"overview", b"c4a70000", b"a-group")
        os.write(shown.master, b"2")
        shown.until(b"TRAFFIC")
        os.write(shown.master, b"q")
        return shown.until_gone(), shown.seen


async def test_it_takes_the_whole_screen_and_gives_it_back_at_q(
    log: EventLog, redis_url: str, namespace: str
) -> None:
    await deploy(log)
    code, seen = await anyio.to_thread.run_sync(watched, redis_url, namespace)
    assert code == 0
    assert seen.rstrip().endswith(b"\x1b[?1049l") or b"\x1b[?1049l" in seen[-400:]
    assert b"Traceback" not in seen


def ended_by(number: signal.Signals, url: str, namespace: str) -> tuple[int, bytes]:
    with terminal({"REDIS_URL": url, "ROUTESTREAM_NAMESPACE": namespace}) as shown:
        shown.until(*TAKEN, b"c4a70000")
        shown.process.send_signal(number)
        return shown.until_gone(), shown.seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_that_ends_it_gives_the_terminal_back(
    log: EventLog, redis_url: str, namespace: str, number: signal.Signals
) -> None:
    await deploy(log)
    before = signal.signal(number, signal.SIG_DFL)  # who runs the tests may ignore it
    try:
        code, seen = await anyio.to_thread.run_sync(ended_by, number, redis_url, namespace)
    finally:
        signal.signal(number, before)
    assert code == 128 + number
    for taken in TAKEN:
        given_back = taken.replace(b"h", b"l")
        assert seen.rindex(given_back) > seen.rindex(taken)
    assert b"Traceback" not in seen


def test_without_a_terminal_it_says_what_to_use_instead(redis_url: str) -> None:
    done = subprocess.run(
        COMMAND,
        env={**os.environ, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--watch" in done.stderr


def test_without_a_server_it_ends_with_the_code_for_no_connection() -> None:
    with terminal({"REDIS_URL": "redis://127.0.0.1:1"}) as shown:
        assert shown.until_gone() == 4
