"""The server under test: synced before it answers, with a clock that can be set where possible."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from consumers.processes.embedded import EmbeddedServer
from tests.support.clock import FAKETIME, Clock, can_be_set_back

NO_CLOCK = "libfaketime (Debian: faketime) is missing, or this server hangs with it"

_MULTI = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC = b"*1\r\n$4\r\nEXEC\r\n"


class SoakServer(EmbeddedServer):
    """A server that keeps what it has acknowledged.

    Attributes:
        clock: What it takes for the time of day, None where it goes by the machine's.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--appendfsync", "always")
        clock = Clock(folder / "clock") if FAKETIME else None
        self.clock = clock if clock and can_be_set_back(clock) else None

    def start(self) -> None:
        """Start it with its clock, and without what a kill left unfinished in its file."""
        for file in (self.folder / "appendonlydir").glob("*.incr.aof"):
            cut_unfinished(file)
        with pytest.MonkeyPatch.context() as starting:
            for name, value in (self.clock.environment if self.clock else {}).items():
                starting.setenv(name, value)
            super().start()

    def set_clock(self, offset_s: float) -> None:
        """Let it be so much later, or earlier, than it is."""
        if self.clock is not None:
            self.clock.set_forward(timedelta(seconds=offset_s))


def cut_unfinished(file: Path) -> None:
    """Cut off a transaction that a kill left unfinished, as `redis-check-aof --fix` does.

    Redis itself cuts off no more than a torn command of it; what is left of the transaction then
    joins the next one at the restart after that, and half an append appears from nowhere.
    """
    content = file.read_bytes()
    begun = content.rfind(_MULTI)
    if begun >= 0 and _EXEC not in content[begun:]:
        os.truncate(file, begun)
