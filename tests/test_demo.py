"""The demo: it proves itself, says so, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest

from consumers.cli.demo.checks import Check, Checks
from consumers.cli.demo.command import FILES_MIN
from consumers.processes.traefik_process import is_traefik_installed
from tests.support.demo_run import MARK, PAGE, ROUTESTREAM, assert_holds, running_with, told


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("proxy", "made"), [("traefik", 38), ("reader", 30)])
def test_the_demo_holds_all_its_checks_and_leaves_nothing_running(proxy: str, made: int) -> None:
    if proxy == "traefik" and not is_traefik_installed():
        pytest.skip("the extra `traefik` is not installed")
    printed = assert_holds(made, "--proxy", proxy)
    if proxy == "traefik":
        assert told(printed) == told(PAGE[PAGE.index("$ make demo") :].partition("```")[0])


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, "healthy"), (signal.SIGTERM, "healthy"), (signal.SIGINT, "is rebuilt")],
)
def test_an_interrupted_demo_leaves_nothing_running(number: signal.Signals, moment: str) -> None:
    mark = uuid4().hex
    with subprocess.Popen(
        [ROUTESTREAM, "demo"],
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if moment in line:
                break
        for _ in range(3):  # to the process group, as Ctrl-C, and more often than needed
            os.killpg(demo.pid, number)
            time.sleep(0.05)
        told = demo.communicate(timeout=30)[1].strip()
        # asyncio may say by itself that a process has ended before it could look.
        own = [line for line in told.splitlines() if "exit status already read" not in line]
        assert own == ["interrupted"], told
        assert demo.returncode == 130

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


@pytest.mark.parametrize("files", [16, 48])
def test_a_demo_without_files_to_open_says_so_in_a_sentence(files: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n {files}; exec {ROUTESTREAM} demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: the demo needs {FILES_MIN} open files, {files} are allowed;"
        " raise the limit of open files (`ulimit -n 1024`)\n"
    )


def test_a_server_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    version = "Redis server v=7.2.0 sha=0"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" || echo "no memory"\n')
    program.chmod(0o700)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    command = [ROUTESTREAM, "demo"]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rf"Error: {program} did not start on port \d+: no memory\n", done.stderr)
