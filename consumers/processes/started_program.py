"""Starts a server that is another program, and waits until it answers."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

START_TIMEOUT_S = 20.0
_LOOK_EVERY_S = 0.01


class NotStartedError(Exception):
    """A program ended, or did not answer in time, and was killed; its log says why."""


def started_program(
    command: Sequence[str | Path],
    log: Path,
    answers: Callable[[], bool],
    *,
    timeout_s: float = START_TIMEOUT_S,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start *command* in *folder*, with *log* for all that it says; return it when it *answers*.

    It has a session of its own: Ctrl-C is for whoever started it, who then ends it.

    Raises:
        NotStartedError: It did not start.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - a program that was looked up
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _wait(process, answers, time.monotonic() + timeout_s)
    except BaseException:
        kill_session(process)
        raise
    return process


def _wait(process: subprocess.Popen[bytes], answers: Callable[[], bool], deadline: float) -> None:
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStartedError
        time.sleep(_LOOK_EVERY_S)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """End *process* at once, as a crash would, with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
