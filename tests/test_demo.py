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
from consumers.cli.demo.command import FILES_MIN
from consumers.processes.appproxy.errors import NoAppProxyError
from consumers.processes.appproxy.postgresql import postgresql_programs
from consumers.processes.traefik_process import is_traefik_installed
from tests.consumers.publishers.support.appproxy_environment import environment

ROUTESTREAM = str(Path(sys.executable).parent / "routestream")
MARK = "MARK_OF_THE_DEMO_TEST"
PAGE = (Path(__file__).parents[1] / "docs" / "demo.md").read_text()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("proxy", "made"), [("traefik", 38), ("reader", 30), ("appproxy", 35)])
def test_the_demo_holds_all_its_checks_and_leaves_nothing_running(proxy: str, made: int) -> None:
    if proxy == "traefik" and not is_traefik_installed():
        pytest.skip("the extra `traefik` is not installed")
    options = appproxy_options() if proxy == "appproxy" else ()
    mark = uuid4().hex

    done = subprocess.run(
        [ROUTESTREAM, "demo", "--proxy", proxy, *options],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    checks = len(re.findall(r"^ +ok  ", done.stdout, re.MULTILINE))
    assert checks == made
    assert re.fullmatch(rf"all {checks} checks held in \d+ s", done.stdout.splitlines()[-1])
    assert done.stderr == ""
    if proxy == "traefik":
        assert told(done.stdout) == told(PAGE[PAGE.index("$ make demo") :].partition("```")[0])
    assert running_with(mark) == []


@pytest.mark.timeout(300)
def test_the_story_of_routes_lives_holds_all_its_checks_and_leaves_nothing_running() -> None:
    mark = uuid4().hex
    done = subprocess.run(
        [ROUTESTREAM, "demo", "--story", "lifecycle"],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"all 25 checks held in \d+ s", done.stdout.splitlines()[-1])
    assert done.stderr == ""
    assert told(done.stdout) == told(PAGE[PAGE.index("$ routestream demo --story") :])
    assert running_with(mark) == []


def appproxy_options() -> tuple[str, ...]:
    """Return what names the environment with AppProxy; skip the test where it cannot be run."""
    try:
        postgresql_programs()
        return ("--appproxy", str(environment("26.9.6").parents[1]))
    except NoAppProxyError as error:
        pytest.skip(str(error))


def test_a_demo_without_appproxy_says_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROUTESTREAM, "demo", "--proxy", "appproxy", "--appproxy", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert f"{tmp_path}/bin/python is no Python that has backend.ai-appproxy" in done.stderr
    assert "PostgreSQL" in done.stderr
    assert "Traceback" not in done.stderr


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


def told(output: str) -> list[str]:
    """Return the steps, the commands and the checks, without their numbers."""
    lines = (re.sub(r" \(.*| ", " ", line) for line in output.splitlines())
    kept = [line for line in lines if re.match(r" +(ok |\d+\.\ds |\$ routestream)|all ", line)]
    without_ids = (re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", one) for one in kept)
    return [re.sub(r"\d[\d.-]*", "N", " ".join(line.split())) for line in without_ids]


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
