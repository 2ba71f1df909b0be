"""The clock of a server, which a test sets."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from consumers.processes.embedded import EmbeddedServer, embedded_server, server_program

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


class Clock:
    """The clock of a server, as the file says that libfaketime reads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_forward(timedelta())

    @property
    def environment(self) -> dict[str, str]:
        """What lets a process that is started look at it, for the time but not for durations."""
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set_back(self, by: timedelta) -> None:
        self.set_forward(-by)

    def set_forward(self, by: timedelta) -> None:
        """Let it show that much more than the clock of this machine."""
        other = self._file.with_suffix(".new")
        other.write_text(f"{by.total_seconds():+.0f}")
        other.replace(self._file)


@contextmanager
def server_with(clock: Clock) -> Iterator[EmbeddedServer]:
    """Run a server that goes by *clock*; skip the test where that cannot be."""
    if not can_be_set_back(clock):
        pytest.skip("libfaketime (Debian: faketime) is missing, or this server hangs with it")
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as starting:
            for name, value in clock.environment.items():
                starting.setenv(name, value)
            opened = running.enter_context(embedded_server())
        yield opened


def can_be_set_back(clock: Clock) -> bool:
    """Whether there is libfaketime, and the server starts with it: some with jemalloc do not."""
    if FAKETIME is None:
        return False
    command = [str(server_program()), "--version"]
    try:
        subprocess.run(command, env=clock.environment, capture_output=True, timeout=5, check=True)
    except subprocess.TimeoutExpired:
        return False
    return True
