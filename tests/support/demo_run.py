"""The demo as a test runs it: what it told, and what it left running."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

ROUTESTREAM = str(Path(sys.executable).parent / "routestream")
MARK = "MARK_OF_THE_DEMO_TEST"
PAGE = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()


DEMO = (ROUTESTREAM, "demo")
CLUSTER_DEMO = (sys.executable, "-m", "tests.cluster_demo")


def assert_holds(checks: int, *options: str, program: Sequence[str] = DEMO) -> str:
    """Run the demo; assert that it holds so many checks, and leaves nothing running.

    Return what it printed.
    """
    mark = uuid4().hex
    done = subprocess.run(
        [*program, *options],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=360,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^ +ok  ", done.stdout, re.MULTILINE)) == checks
    assert re.fullmatch(rf"all {checks} checks held in \d+ s", done.stdout.splitlines()[-1])
    assert done.stderr == ""
    assert running_with(mark) == []
    return done.stdout


def told(output: str) -> list[str]:
    """Return the steps, the commands and the checks, without their numbers."""
    lines = (re.sub(r" \(.*| ", " ", line) for line in output.splitlines())
    kept = [line for line in lines if re.match(r" +(ok |\d+\.\ds |\$ routestream)|all ", line)]
    without_ids = (re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", one) for one in kept)
    return [re.sub(r"\d[\d.-]*", "N", " ".join(line.split())) for line in without_ids]


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
