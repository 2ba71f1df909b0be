"""Programs that are started for a test, a demo or a benchmark, and do not always start."""

import sys
from pathlib import Path

import pytest

from consumers.processes.started_program import NotStartedError, kill_session, started_program

SLEEPS = (sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)")


def test_a_program_that_ends_has_not_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = (sys.executable, "-c", "print('no port is free')")

    with pytest.raises(NotStartedError):
        started_program(command, log, lambda: False)

    assert log.read_text() == "no port is free\n"


def test_a_program_that_does_not_answer_in_time_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"

    with pytest.raises(NotStartedError):
        started_program(SLEEPS, log, lambda: False, timeout_s=0.5)

    assert not is_running(log)


def test_a_program_is_killed_where_its_start_is_interrupted(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def interrupted() -> bool:
        if log.read_text():
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        started_program(SLEEPS, log, interrupted)

    assert not is_running(log)


def test_a_program_that_answers_runs_until_it_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = started_program(SLEEPS, log, lambda: bool(log.read_text()))
    assert process.poll() is None

    kill_session(process)

    assert not is_running(log)


def is_running(log: Path) -> bool:
    """Whether the program that has logged its process id runs; one that has not is none."""
    text = log.read_text().strip()
    return bool(text) and Path(f"/proc/{text}").exists()
