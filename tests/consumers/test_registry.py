"""Which processes run is noted, and those that are gone are missed."""

import pytest

from consumers.cli.groups.show import show_group
from consumers.processes.registry import (
    ProcessFacts,
    fleets_of,
    own_facts,
    read_processes,
    registered,
)
from events import EventLog
from events.server.server import now_of
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined_log, found
from tests.events.support.old_entries import add_old, create
from tests.support.waiting import wait_until

DEAD = b"%d\nreaders\n" + b'{"host":"node","pid":7,"supervisor":6,"wanted":2}'


async def names(log: EventLog) -> list[str]:
    now_s = (await now_of(log.server)).timestamp()
    return [one.name for one in await read_processes(log.server.client.call, log.keys, now_s)]


async def let_die(log: EventLog, name: str, ago_s: float) -> None:
    at_ms = round(((await now_of(log.server)).timestamp() - ago_s) * 1_000)
    await log.server.client.call("HSET", log.keys.processes, name, DEAD % at_ms)


async def test_a_process_is_known_while_it_runs(log: EventLog) -> None:
    facts = own_facts(wanted=None, metrics="http://127.0.0.1:9464")
    async with registered(log, "readers", "first", facts):

        async def is_known() -> bool:
            return await names(log) == ["first"]

        await wait_until(is_known, "it is known")
        now_s = (await now_of(log.server)).timestamp()
        [known] = await read_processes(log.server.client.call, log.keys, now_s)
        assert (known.facts, known.group, known.is_alive) == (facts, "readers", True)
    assert await names(log) == []


async def test_one_that_died_is_missed_until_another_takes_its_place(
    log: EventLog, run: Commands
) -> None:
    await add_old(log, 1)
    await create(log, "readers")
    await let_die(log, "dead", 75)
    missed = found(await examined_log(log), "processes of readers")
    assert missed.severity == "warning"
    assert missed.figure.startswith("0 of 2 run; 7 on node is silent for 1m 1")
    assert "0 of 2 run" in (await run(show_group, "readers")).stdout
    facts = ProcessFacts(host="node", pid=8, supervisor=6, wanted=1)
    async with registered(log, "readers", "new", facts):

        async def is_replaced() -> bool:
            return await names(log) == ["new"]

        await wait_until(is_replaced, "it has taken the dead one's place")
        assert found(await examined_log(log), "processes of readers").severity == "ok"


async def test_those_that_died_long_ago_are_forgotten_and_other_groups_are_left(
    log: EventLog,
) -> None:
    await let_die(log, "forgotten", 4_000)
    await let_die(log, "dead", 75)
    async with registered(log, "writers", "new", own_facts(wanted=None, metrics=None)):

        async def are_left() -> bool:
            return await names(log) == ["dead", "new"]

        await wait_until(are_left, "only what died long ago is gone")


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"1\nreaders\n" + b"[" * 10_000, b"x\nreaders\n{}", b"1\n\n{}"]
)
async def test_what_is_damaged_is_left_out(log: EventLog, value: bytes) -> None:
    await let_die(log, "dead", 1)
    await log.server.client.call("HSET", log.keys.processes, "damaged", value)
    assert await names(log) == ["dead"]
    async with registered(log, "readers", "new", own_facts(wanted=None, metrics=None)):

        async def is_known() -> bool:
            return "new" in await names(log)

        await wait_until(is_known, "it registers all the same")


async def test_a_supervisor_that_lacks_a_process_from_the_start_is_seen(log: EventLog) -> None:
    await let_die(log, "one", 1)
    now_s = (await now_of(log.server)).timestamp()
    fleet = fleets_of(await read_processes(log.server.client.call, log.keys, now_s))["readers"]
    assert (len(fleet.alive), fleet.wanted) == (1, 2)
