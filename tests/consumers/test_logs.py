"""The lines that a process logs: those of the libraries look like its own."""

import json
import os
import pty
import re
import subprocess
import sys

LOGGING = """
from consumers.processes.logs import configure_logs
from events.structured_logger import structured_logger

configure_logs("info")
configure_logs("info")
for logger in structured_logger("consumers.somewhere"), structured_logger("projections.somewhere"):
    logger.bind(projection="route-table").warning("table_repaired", documents=1, why={"a": None})
configure_logs("error")
structured_logger("projections.somewhere").warning("table_repaired")
"""
PROGRAM = [sys.executable, "-c", LOGGING]


def test_lines_of_a_library_have_the_keys_and_the_order_of_a_process() -> None:
    done = subprocess.run(PROGRAM, capture_output=True, text=True, check=True)
    own, library = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout == ""
    expected = {
        "projection": "route-table",
        "documents": 1,
        "why": {"a": None},
        "event": "table_repaired",
        "level": "warning",
    }
    for line in (own, library):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line.pop("timestamp"))
        assert list(line.items()) == list(expected.items())


def test_on_a_terminal_both_are_readable_and_alike() -> None:
    reading, terminal = pty.openpty()
    subprocess.run(PROGRAM, stderr=terminal, check=True)
    os.close(terminal)
    plain = re.sub(r"\x1b\[[\d;]*m", "", os.read(reading, 65_536).decode())
    os.close(reading)
    own, library = [re.sub(r"^\S+Z ", "", line) for line in plain.splitlines()]
    assert own == library
    assert re.fullmatch(r"\[warning *\] table_repaired +documents=1 projection=.*", own)
