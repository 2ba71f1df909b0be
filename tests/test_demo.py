"""The demo: it proves itself, says so, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from consumers.cli.demo.checks import Check, Checks

ROUTESTREAM = str(Path(sys.executable).parent / "routestream")
MARK = "MARK_OF_THE_DEMO_TEST"
PAGE = (Path(__file__).parents[1] / "docs" / "demo.md").read_text()


def test_the_demo_holds_all_its_checks_and_leaves_nothing_running() -> None:
    mark = uuid4().hex

    done = subprocess.run(
        [ROUTESTREAM, "demo"],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )

    assert done.returncode == 0, done.stdout
    checks = len(re.findall(r"^ +ok  ", done.stdout, re.MULTILINE))
    assert checks == 30
    assert re.fullmatch(rf"all {checks} checks held in \d+ s", done.stdout.splitlines()[-1])
    assert done.stderr == ""
    assert told(done.stdout) == told(PAGE[PAGE.index("$ make demo") :].partition("```")[0])
    assert running_with(mark) == []


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, "healthy"), (signal.SIGTERM, "healthy"), (signal.SIGINT, "is rebuilt")],
)
def test_an_interrupted_demo_leaves_nothing_running(number: signal.Signals, moment: str) -> None:
    mark = uuid4().hex
    with subprocess.Popen(
        [ROUTESTREAM, "demo"], env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if moment in line:
                break
        demo.send_signal(number)
        demo.stdout.read()
        assert demo.wait(30) == 130

    assert running_with(mark) == []


async def test_what_does_not_hold_in_time_is_a_failed_check() -> None:
    told: list[Check] = []
    checks = Checks(told.append)

    await checks.until("the impossible", lambda: False, timeout_s=0.05)
    await checks.until("the certain", lambda: True)

    assert checks.failed == 1
    assert [(check.what, check.held) for check in told] == [
        ("the impossible", False),
        ("the certain", True),
    ]


def told(output: str) -> list[str]:
    """Return the steps, the commands and the checks, without their numbers."""
    lines = (re.sub(r" \(.*| ", " ", line) for line in output.splitlines())
    kept = [line for line in lines if re.match(r" +(ok |\d+\.\ds |\$ routestream)|all ", line)]
    return [re.sub(r"\d[\d.-]*", "N", " ".join(line.split())) for line in kept]


def running_with(mark: str) -> list[str]:
    """Return the processes that carry *mark* in their environment, once they had time to go."""
    deadline = time.monotonic() + 10
    while (found := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _marked(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended, or is not ours
    return found
