"""What is said where somebody else wrote to our keys: a finding, an error that names the key."""

import pytest

from consumers.cli.doctor import check as check_command
from consumers.cli.doctor.check import check
from consumers.cli.doctor.doctor import doctor
from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.events.tail import events
from consumers.cli.groups.groups import groups
from consumers.cli.health.health import health
from events import EventLog
from projections.errors import UnreadableGenerationError
from projections.read_model.store import ReadModelStore
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.examination import examined_log, found, projecting
from tests.support.running_consumer import GROUP, create_group, created, fill

TABLE = "read model route-table, partition 0"


async def test_a_live_generation_that_is_no_number_is_an_error_of_its_read_model(
    log: EventLog, run: Commands
) -> None:
    await fill(log, 2)
    async with projecting(log):
        pass
    live = log.keys.live(0, "route-table")
    await log.server.client.call("SET", live, "abc")
    finding = found(await examined_log(log), TABLE)
    assert (finding.severity, finding.figure) == ("error", "'abc'")
    assert finding.what.startswith(f"{live} is not a whole number")
    assert finding.to_do.startswith(f"redis-cli DEL '{live}', then routestream consume route-table")
    result = await run(doctor)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    checked = await run(check)
    assert checked.exit_code == 2
    assert checked.stdout.startswith(f"CRITICAL - {TABLE}: {live} is not a whole number")


async def test_reading_commands_name_the_live_generation_that_is_no_number(
    log: EventLog, run: Commands
) -> None:
    await fill(log, 1)
    live = log.keys.live(0, "route-table")
    await log.server.client.call("SET", live, "abc")
    for command in ((endpoints, "ls"), (endpoints, "show", "7ccd26ec"), (health, "ls")):
        result = await run(*command)
        assert end_of(result) == 1
        assert f"{live} is 'abc', not a whole number" in str(result.exception)


@pytest.mark.parametrize(
    ("field", "held", "wanted"),
    [
        ("route-table:kept", "abc", "a whole number"),
        ("route-table:kept-since", "later", "an entry id"),
    ],
)
async def test_a_kept_generation_that_cannot_be_read_is_named(
    log: EventLog, field: str, held: str, wanted: str
) -> None:
    call, key = log.server.client.call, log.keys.generations(0)
    kept = {"route-table:kept": "1", "route-table:kept-since": "1-0", field: held}
    await call("HSET", key, *(part for pair in kept.items() for part in pair))
    await call("HSET", log.keys.documents(0, "route-table", 1), "endpoint", "document")
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    expected = f"field {field} of {key} is '{held}', not {wanted}"
    with pytest.raises(UnreadableGenerationError, match=expected.replace("{", r"\{")):
        await store.kept()


async def test_what_is_kept_beside_the_stream_and_cannot_be_read_is_found(log: EventLog) -> None:
    endpoint, *_ = await fill(log, 1)
    async with projecting(log):
        pass
    await create_group(log)
    keys, call = log.keys, log.server.client.call
    documents = "route-table:documents"
    await call("HSET", keys.heads(0), str(endpoint), "abc")
    await call("HSET", keys.positions(0), f"group:{GROUP}", "abc")
    await call("HSET", keys.lost(0), GROUP, "abc")
    await call("HSET", keys.generations(0), documents, "abc")
    findings = [one for one in await examined_log(log) if one.figure == "'abc'"]
    assert {one.about: one.to_do.split(", ")[0] for one in findings} == {
        TABLE: f"redis-cli HDEL '{keys.generations(0)}' '{documents}'",
        "heads, partition 0": f"redis-cli HSET '{keys.heads(0)}' {endpoint} ID",
        f"position of {GROUP}, partition 0": (
            f"redis-cli HDEL '{keys.positions(0)}' 'group:{GROUP}'"
        ),
        f"loss of {GROUP}, partition 0": f"redis-cli HDEL '{keys.lost(0)}' '{GROUP}'",
    }
    assert {one.severity for one in findings} == {"error"}


async def test_a_check_that_fails_by_itself_is_unknown_in_one_line(
    run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ValueError("no\nnumber")

    monkeypatch.setattr(check_command, "examination_of", broken)
    result = await run(check)
    assert result.exit_code == 3
    assert result.stdout == "UNKNOWN - ValueError: no\\nnumber; see routestream doctor\n"


@pytest.mark.parametrize("held", ["abc", "0", "1025", "9" * 5_000])
async def test_a_layout_without_a_number_of_partitions_is_an_error_of_the_log(
    log: EventLog, run: Commands, held: str
) -> None:
    await log.append(created())
    await log.server.client.call("HSET", log.keys.layout, "partitions", held)
    finding = found(await examined_log(log), "layout")
    assert (finding.severity, finding.figure) == ("error", repr(held[:60]))
    assert finding.to_do.startswith(f"redis-cli HSET {log.keys.layout} partitions N")
    assert (await run(doctor)).exit_code == 1
    checked = await run(check)
    assert checked.exit_code == 2
    assert f"layout: field partitions of {log.keys.layout} is not a number" in checked.stdout


async def test_reading_commands_name_the_layout_that_is_no_number(
    log: EventLog, run: Commands
) -> None:
    await log.server.client.call("HSET", log.keys.layout, "partitions", "abc")
    for command in ((groups, "ls"), (events, "tail"), (endpoints, "ls")):
        result = await run(*command)
        assert end_of(result) == 1
        told = str(result.exception)
        assert f"field partitions of {log.keys.layout} is 'abc', not a number from 1" in told
