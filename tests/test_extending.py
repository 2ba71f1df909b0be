"""The example package, installed and run: what it adds is everywhere, what is broken is skipped."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from consumers.processes.embedded import EmbeddedServer
from tests.support.packages import BIN, ROOT, environment_with, install, write_package
from tests.support.waiting import wait_until

CHAT = "c4a70000-0000-4000-8000-000000000000"
EXAMPLE = ROOT / "examples" / "audit"
SCRIPT = ROOT / "examples" / "handle_events.py"
PAGE = (ROOT / "docs" / "extending.md").read_text()
APPEND = f"""
import os, anyio
from uuid import UUID
from events import EndpointCreatedEvent, open_log
from routestream_audit import NoteAddedEvent

CHAT = UUID({CHAT!r})

async def main():
    namespace = os.environ["ROUTESTREAM_NAMESPACE"]
    async with open_log(os.environ["REDIS_URL"], namespace=namespace) as log:
        await log.append(
            EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="llama-3"),
            NoteAddedEvent(endpoint_id=CHAT, author="ada", text="disk replaced"),
        )

anyio.run(main)
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed, as `pip install ./examples/audit` does."""
    target = tmp_path_factory.mktemp("installed")
    install(EXAMPLE, target)
    return target


class Program:
    """Runs commands, with what is installed in a folder, on one deployment."""

    def __init__(self, target: Path | None, redis_url: str, namespace: str, **more: str) -> None:
        names = {"REDIS_URL": redis_url, "ROUTESTREAM_NAMESPACE": namespace}
        self.environment = environment_with(target, **names, **more)

    def run(self, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run(str(BIN / "routestream"), *arguments, code=code)

    def rows(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self(*arguments, "-o", "json", code=code).stdout)
        return found

    def append(self) -> None:
        self.run(sys.executable, "-c", APPEND)

    def consuming(self, group: str) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """Run a group's process; see `running`."""
        return self.running("consume", group)

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Run a process, and give the lines of its log as they come."""
        with subprocess.Popen(
            [BIN / "routestream", "--log-level", "debug", *arguments],
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            try:
                yield map(json.loads, process.stderr)
            finally:
                process.terminate()
                process.stderr.read()
            assert process.wait(60) == 0


@pytest.fixture
def program(installed: Path, redis_url: str, namespace: str, tmp_path: Path) -> Program:
    snapshots = {"ROUTESTREAM_SNAPSHOTS_DIRECTORY": str(tmp_path / "snapshots")}
    return Program(installed, redis_url, namespace, **snapshots)


def until(lines: Iterator[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    """Return the lines up to one of *event*."""
    seen = []
    for line in lines:
        seen.append(line)
        if line["event"] == event:
            return seen
    raise AssertionError(f"the process ended without {event}: {seen}")


def test_the_blocks_of_the_page_are_those_of_the_examples() -> None:
    [script] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    [entry_points] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert script == SCRIPT.read_text()
    assert entry_points in EXAMPLE.joinpath("pyproject.toml").read_text()


def test_the_script_of_the_page_prints_every_event(
    installed: Path, own_server: EmbeddedServer
) -> None:
    program = Program(installed, own_server.url, "routestream")
    program.append()
    with subprocess.Popen(
        [sys.executable, SCRIPT], env=program.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
    assert ["EndpointCreatedEvent(" in lines[0], "NoteAddedEvent(" in lines[1]] == [True, True]


def test_the_tests_of_the_example_pass(program: Program) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-c", str(EXAMPLE / "pyproject.toml"))
    done = program.run(sys.executable, "-m", "pytest", *options, str(EXAMPLE / "test_audit.py"))
    assert "4 passed" in done.stdout


async def test_its_handler_group_is_run_by_its_name(
    installed: Path, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    trail = tmp_path / "trail.jsonl"
    program = Program(installed, redis_url, namespace, AUDIT_FILE=str(trail))
    program.append()
    trail.touch()
    with program.consuming("audit"):
        await wait_until(lambda: trail.read_text().count("\n") == 2, "two lines are written", 60.0)
    written = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [line["name"] for line in written] == ["endpoint_created", "audit_note_added"]
    [group] = [row for row in program.rows("groups", "ls") if row["group"] == "audit"]
    assert group["lag"] == 0
    assert "audit" in program("consume", "--help").stdout
    del program.environment["AUDIT_FILE"]
    assert "set AUDIT_FILE" in program("consume", "audit", code=2).stderr


async def test_its_publisher_keeps_a_file_equal_to_the_table(
    installed: Path, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    table = tmp_path / "table.json"
    program = Program(installed, redis_url, namespace, TABLE_FILE=str(table))
    table.touch()
    with program.consuming("route-table") as lines:
        until(lines, "consumer_started")
        program.append()
        until(lines, "batch_settled")
        with program.running("publish", "table-file"):
            await wait_until(lambda: b"chat" in table.read_bytes(), "the file has it", 60.0)
            [written] = json.loads(table.read_text())["endpoints"].items()
            program("routes", "set", "chat", "--route", "10.0.0.1:8000", "--yes")
            await wait_until(lambda: b"10.0.0.1" in table.read_bytes(), "and the route", 60.0)
            await wait_until(lambda: bool(program.rows("proxies", "ls")), "it is noted", 60.0)
            [proxy] = program.rows("proxies", "ls")
    assert written == ("chat", [])
    assert (proxy["publisher"], proxy["proxy"]) == ("table-file", str(table))
    del program.environment["TABLE_FILE"]
    assert "set TABLE_FILE" in program("publish", "table-file", code=2).stderr
    assert "no publisher is set up" in program("publish", "--all", code=2).stderr


def test_its_projection_is_consumed_rebuilt_verified_and_shown(program: Program) -> None:
    with program.consuming("audit-notes") as lines:
        until(lines, "consumer_started")
        program.append()
        until(lines, "batch_settled")
        program("replay", "rebuild", "audit-notes", "--yes")
        program("replay", "verify", "audit-notes")
    [shown] = program.rows("replay", "show", "--projection", "audit-notes", "--as-of", "end")
    assert [note["text"] for note in shown["notes"]] == ["disk replaced"]
    assert "audit-notes" in {row["group"] for row in program.rows("groups", "ls")}
    program("snapshot", "take", "audit-notes")


def test_its_event_is_read_by_every_command_that_reads_events(program: Program) -> None:
    program.append()
    found = program("events", "grep", "disk", "start..", "--type", "audit_note_added").stdout
    assert "author ada" in found
    assert "text disk replaced" in found


def test_doctor_and_check_know_what_the_package_adds(program: Program) -> None:
    program.append()
    found = {row["about"]: row for row in program.rows("doctor", code=1)}
    added = found["plugins of routestream-audit 1.0"]
    assert added["severity"] == "ok"
    assert added["figure"] == (
        "event type audit_note_added, projection audit-notes, group audit-notes, group audit,"
        " publisher table-file"
    )
    assert found["group audit-notes, partition 0"]["to_do"] == "routestream consume audit-notes"
    assert "group 'nobody' is not one of" in program("check", "--group", "nobody", code=3).stdout
    assert program("check", "--group", "audit").stdout.startswith("OK")


def test_without_the_package_its_events_are_passed_over_and_its_names_are_unknown(
    program: Program, redis_url: str, namespace: str
) -> None:
    without = Program(None, redis_url, namespace)
    with without.consuming("route-table") as lines:
        until(lines, "consumer_started")
        program.append()
        until(lines, "batch_settled")
    assert without.rows("dead", "ls") == []
    assert [row["name"] for row in without.rows("endpoints", "ls")] == ["chat"]
    refused = without("consume", "audit", code=2).stderr
    assert "group 'audit' is not one of route-table, health-state, webhook, backend-ai\n" in refused
    assert (
        "'audit-notes' is not one of" in without("replay", "rebuild", "audit-notes", code=2).stderr
    )
    assert not [row for row in without.rows("doctor", code=1) if "plugin" in row["about"]]


def test_a_broken_package_is_named_once_by_a_process_that_works_all_the_same(
    redis_url: str, namespace: str, installed: Path, tmp_path: Path
) -> None:
    write_package(tmp_path, "broken", {"handlers": {"copy": "broken:COPY"}}, "import nowhere")
    program = Program(None, redis_url, namespace)
    program.environment["PYTHONPATH"] = f"{installed}:{tmp_path}"
    with program.consuming("route-table") as lines:
        seen = until(lines, "consumer_started")
        program.append()
        seen += until(lines, "batch_settled")
    [skipped] = [line for line in seen if line["event"] == "plugin_skipped"]
    assert (skipped["owner"], skipped["name"]) == ("broken 1.0", "copy")
    assert skipped["why"] == "ModuleNotFoundError: No module named 'nowhere'"
    refused = program("consume", "copy", code=2).stderr
    assert "plugin copy (routestream.handlers) of broken 1.0 is skipped: Module" in refused
    [found] = [
        row for row in program.rows("doctor", code=1) if row["about"] == "plugin copy of broken 1.0"
    ]
    assert found["severity"] == "warning"
    monitored = program("check", "--group", "audit", code=1).stdout
    assert monitored.startswith("WARNING - plugin copy of broken 1.0: it is skipped: Module")
