"""What `routestream doctor` and `routestream check` print, and their exit codes."""

import json
import re
from collections.abc import Iterator

import pytest

from consumers.cli.doctor.check import check
from consumers.cli.doctor.doctor import doctor
from consumers.processes.embedded import EmbeddedServer, embedded_server
from consumers.runtime.projector import Projector
from events import EventLog, open_log
from projections.health_state.health_state import HEALTH_STATE
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import projecting
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    QUICK,
    consumer_of,
    consuming,
    created,
    deliver,
    fill,
    until_settled,
)

BOTH = "lag=0;1000;100000;0 pending=0;;;0 dead=0;1;;0 lost=0;;;0"


@pytest.fixture(scope="module")
def weak_server() -> Iterator[EmbeddedServer]:
    with embedded_server("--appendonly", "no") as server:
        yield server


async def test_where_all_is_well_the_exit_code_is_0(log: EventLog, run: Commands) -> None:
    await fill(log, 2)
    async with projecting(log):
        result = await run(doctor)
    assert (result.exit_code, result.stderr) == (0, "all is well: 12 findings\n")
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["SEVERITY", "ABOUT", "FOUND", "FIGURE", "TO", "DO"]
    assert {line.split()[0] for line in lines} == {"ok"}


async def test_an_error_is_exit_code_1_and_stands_first(
    weak_server: EmbeddedServer, namespace: str
) -> None:
    result = await Commands(weak_server.url, namespace)(doctor, "-o", "jsonl")
    findings = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert findings[0] == {
        "severity": "error",
        "about": "append-only file",
        "what": "it is off: a crash of the server loses events that were answered as appended",
        "figure": "appendonly no",
        "to_do": "redis-cli CONFIG SET appendonly yes && redis-cli CONFIG REWRITE",
    }
    assert result.stderr == "1 error, 1 warning\n"


async def test_warnings_alone_are_exit_code_0(run: Commands) -> None:
    result = await run(doctor, "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["about"] == "layout"


async def test_a_check_where_all_is_well_is_ok_with_its_figures(
    log: EventLog, run: Commands
) -> None:
    await fill(log, 2)
    async with projecting(log):
        result = await run(check)
    assert result.stdout == f"OK - 12 findings, lag 0, pending 0, dead 0|{BOTH}\n"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (["--warn-lag", "6"], 0, "OK - "),
        (["--warn-lag", "5"], 1, "WARNING - lag is 5|lag=5;5;100000;0 pending=3;;;0 "),
        (["--warn-lag", "2", "--crit-lag", "5"], 2, "CRITICAL - lag is 5|"),
        (["--crit-pending", "3"], 2, "CRITICAL - pending is 3|"),
        (["--group", "health-state", "--crit-lag", "5"], 0, "OK - "),
    ],
)
async def test_limits_decide_what_a_check_says(
    log: EventLog, run: Commands, *, options: list[str], exit_code: int, words: str
) -> None:
    async with projecting(log):
        pass
    await log.append(*(created() for _ in range(8)))
    await deliver(log, "awake", 3, "route-table")
    health = Projector(log, HEALTH_STATE, 0, QUICK.policy)
    if "--group" not in options:
        options = [*options, "--group", "route-table"]
    with captured_lines():
        async with consuming(consumer_of(log, health, group=HEALTH_STATE.name)):
            await until_settled(log, HEALTH_STATE.name)
            result = await run(check, *options)
    assert result.exit_code == exit_code, result.stdout
    assert result.stdout.startswith(words)


async def test_what_the_doctor_calls_an_error_is_critical(
    weak_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(weak_server.url, namespace=namespace) as log:
        await fill(log, 1)
        async with projecting(log):
            result = await Commands(weak_server.url, namespace)(check)
    assert result.exit_code == 2
    assert result.stdout == (
        "CRITICAL - append-only file: it is off: a crash of the server loses events that were"
        f" answered as appended (appendonly no)|{BOTH}\n"
    )


async def test_no_connection_is_critical_and_wrong_options_are_unknown(run: Commands) -> None:
    nowhere = Commands("redis://127.0.0.1:1", "any")
    result = await nowhere(check)
    assert (result.exit_code, result.stdout) == (
        2,
        "CRITICAL - no Redis at 127.0.0.1:1: connection refused\n",
    )
    assert (await nowhere(doctor)).exit_code != 0
    for options in (["--warn-lag", "many"], ["--nonsense"], ["--group", "nobody"]):
        result = await run(check, *options)
        assert result.exit_code == 3
        assert re.fullmatch(r"UNKNOWN - [^|\n]+\n", result.stdout)
