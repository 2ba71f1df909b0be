"""Ctrl-C before a command runs: whatever is being imported, the program ends with a word."""

import subprocess
import sys

import pytest

_INTERRUPTED_AT_IMPORT = """
import os, signal, sys
signal.signal(signal.SIGINT, {handler})  # who runs the tests may ignore it
from consumers.__main__ import main
class Interrupt:
    def find_spec(self, name, *_):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["routestream", "--url", "redis://127.0.0.1:1", "events", "tail"]
main()
"""


@pytest.mark.parametrize(
    "name",
    ["consumers.cli.program", "click", "consumers.cli.exit_codes", "consumers.cli.events.tail"],
)
def test_an_interrupt_while_modules_are_imported_is_told_in_a_word(name: str) -> None:
    code = _INTERRUPTED_AT_IMPORT.format(name=name, handler="signal.default_int_handler")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_an_interrupt_that_was_refused_at_the_start_stays_refused() -> None:
    code = _INTERRUPTED_AT_IMPORT.format(name="consumers.cli.program", handler="signal.SIG_IGN")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 4
