"""The parts of the demo's ending: a command at a terminal, and the witness of what a reader has."""

import os

import anyio
import pytest
from msgspec.structs import replace

from consumers.cli.demo.shell import Printed, Shell
from consumers.cli.demo.table.live_changes import Witness
from events import EventLog
from projections.read_model.reader import ReaderSettings, open_reader
from tests.support.histories import E, endpoint_of, history, listed, observed, record
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until

NOBODY = "redis://127.0.0.1:1/0"
RUNNING = record(0, status="running", kernel_host="10.0.0.1", kernel_port=80)
OLDER = endpoint_of(history(listed(RUNNING)))
NEWER = endpoint_of(history(listed(RUNNING), observed("healthy"), observed("unhealthy")))


@pytest.mark.processes
async def test_a_command_is_shown_as_a_terminal_of_that_width_would() -> None:
    shown: list[Printed] = []
    shell = Shell(os.environ, 50, shown.append)

    printed = await shell.run("replay", "rebuild", "--help")

    assert shown == [printed]
    assert printed.command == "routestream replay rebuild --help"
    assert printed.exit_code == 0
    lines = [line.plain for line in printed.lines]
    assert lines[0].startswith("Usage: routestream replay rebuild")
    assert 40 < max(map(len, lines)) <= 50
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.processes
async def test_what_a_failing_command_says_is_shown_with_its_exit_code() -> None:
    shell = Shell({**os.environ, "REDIS_URL": NOBODY}, 80, lambda _: None)

    printed = await shell.run("endpoints", "ls")

    assert printed.exit_code == 4
    assert printed.output == ""
    assert printed.lines[0].plain.startswith("Error: ")


async def test_a_command_is_at_a_terminal_and_a_question_is_not(
    log: EventLog, redis_url: str
) -> None:
    environment = {"REDIS_URL": redis_url, "ROUTESTREAM_NAMESPACE": log.keys.namespace}
    await WrittenTable(log).begin(NEWER)
    shell = Shell({**os.environ, **environment}, 80, lambda _: None)

    printed = await shell.run("endpoints", "ls")

    assert "\x1b[1mENDPOINT" in printed.output
    assert printed.lines[-1].plain.startswith(f"{str(E)[:8]}  ")
    assert str(E).encode() in await shell.ask("endpoints", "ls")


async def test_the_witness_notes_what_went_back_and_nothing_else(log: EventLog) -> None:
    table = WrittenTable(log)
    await table.begin(OLDER)
    with anyio.fail_after(60):
        async with (
            open_reader(log, ReaderSettings(block_ms=50)) as reader,
            anyio.create_task_group() as tasks,
        ):
            witness = Witness(reader)
            tasks.start_soon(witness.watch)
            await wait_until(lambda: witness.looks == 1, "it has looked")
            await table.put(replace(OLDER, name="renamed"))
            await wait_until(lambda: witness.looks == 2, "it has seen another name")
            await table.put(NEWER)
            await wait_until(lambda: witness.looks == 3, "it has seen a newer one")
            assert witness.went_back == []

            await table.put(OLDER)
            await wait_until(lambda: witness.looks == 4, "it has seen an older one")
            tasks.cancel_scope.cancel()

    assert witness.went_back == [(E, NEWER.version, OLDER.version)]
