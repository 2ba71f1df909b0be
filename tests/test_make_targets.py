"""The targets of `make` that run tests: what they run, and that the fast one starts no process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.consumers.support import terminal
from tests.support import waiting
from tests.support.without_server import starts

ROOT = Path(__file__).parents[1]

SAMPLES = """
import subprocess
import sys


def begin():
    return subprocess.run([sys.executable, "-c", ""], check=True)


def hide():
    return __import__("sub" + "process").run([sys.executable, "-c", ""], check=True)


def test_that_shows_that_it_starts_a_process():
    begin()


def test_that_hides_that_it_starts_a_process():
    hide()


def test_that_is_given_a_server(redis_url):
    assert redis_url


def test_that_starts_nothing():
    assert sys.executable
"""


def made(*arguments: str) -> str:
    """What `make` says from a plain shell: the make that runs these tests hands variables on."""
    command = ["make", "--silent", *arguments]
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        command, cwd=ROOT, env=path, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        (("test",), "--dist loadfile tests"),
        (("test", "T=tests/events"), "--dist loadfile tests/events"),
        (("test-fast",), "--dist loadfile --without-server tests"),
        (("test-fast", "T=tests/events"), "--dist loadfile --without-server tests/events"),
    ],
)
def test_a_target_runs_the_tests_that_it_names(arguments: tuple[str, ...], run: str) -> None:
    old = "--assume-old=pyproject.toml", "--assume-old=requirements.lock"
    [line] = made("--dry-run", *old, *arguments).splitlines()[-1:]
    assert line.startswith(".venv/bin/pytest --numprocesses ")
    assert line.endswith(run)


def test_help_lists_both_targets() -> None:
    listed = {line.split()[0] for line in made("help").splitlines()}
    assert {"test", "test-fast"} <= listed


def test_without_server_a_test_that_starts_a_process_is_left_out_or_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_samples.py").write_text(SAMPLES)
    command = [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "--without-server", "-q"]
    options = ["-p", "no:cacheprovider", "--import-mode=importlib", "-rA", str(tmp_path)]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )

    ends = [line.split(" - ")[0].split("::") for line in done.stdout.splitlines() if "::" in line]
    outcomes = {name: place.split()[0] for place, *_, name in ends}
    assert outcomes == {
        "test_that_hides_that_it_starts_a_process": "FAILED",
        "test_that_starts_nothing": "PASSED",
    }
    assert "1 failed, 1 passed, 2 deselected" in done.stdout


def test_what_leads_to_a_process_through_support_is_seen() -> None:
    assert starts(terminal.in_shell)
    assert not starts(waiting.wait_until)
