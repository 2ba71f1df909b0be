from collections.abc import AsyncIterator
from time import time

import anyio
import msgspec
import pytest
from click.testing import Result

from consumers.cli.publishers.drain import drain
from consumers.publishers.proxy_ledger import ProxyState
from events import EventLog
from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.support.histories import E, created, listed, record
from tests.support.projectors import member, store_of
from tests.support.running_consumer import consuming, until_settled
from tests.support.waiting import wait_until

RUNNING = record(0, status="running", kernel_host="10.0.0.1", kernel_port=80)
NEAR = ProxyState(publisher="kind", proxy="near")


async def note(log: EventLog, state: ProxyState, acknowledged: str | None) -> None:
    later = time() + 3_600
    noted = msgspec.structs.replace(state, noted_at=later, acknowledged=acknowledged)
    await log.server.client.call("HSET", log.keys.proxies, state.proxy, msgspec.json.encode(noted))


async def endpoint(log: EventLog) -> Endpoint:
    store = store_of(log, ROUTE_TABLE)
    found = await store.look_up(await store.live_generation() or 0, [str(E)])
    match found.get(str(E)):
        case (_, Endpoint() as state):
            return state
        case other:
            raise AssertionError(other)


async def route(log: EventLog) -> Route:
    [only] = (await endpoint(log)).present_routes
    return only


async def drained(run: Commands, *options: str) -> Result:
    return await run(
        *(drain, str(E), str(RUNNING.route_id), "--reason", "GPU swap", "--drain-time", "0"),
        *("--yes", *options),
    )


@pytest.fixture
async def projected(log: EventLog) -> AsyncIterator[EventLog]:
    async with consuming(member(log, ROUTE_TABLE)):
        await log.append(created(), listed(RUNNING))
        await until_settled(log, ROUTE_TABLE.name)
        yield log


async def test_a_route_is_terminated_once_every_proxy_has_acknowledged_that_it_gets_no_traffic(
    projected: EventLog, run: Commands
) -> None:
    log = projected
    await note(log, NEAR, acknowledged="0-1")
    results: list[Result] = []

    async def command() -> None:
        results.append(await drained(run, "--timeout", "60"))

    async def is_switched_off() -> bool:
        return (await route(log)).traffic_status == "inactive"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(command)
        await wait_until(is_switched_off, "it is switched off")
        assert (await route(log)).status == "running"
        await note(log, NEAR, acknowledged=str(await log.head(0)))

    [done] = results
    assert end_of(done) == 0
    assert "acknowledged by 1 of 1 proxies" in done.stderr
    await until_settled(log, ROUTE_TABLE.name)
    ended = await route(log)
    assert (ended.status, ended.traffic_ratio) == ("terminating", 1.0)


@pytest.mark.parametrize(
    ("acknowledged", "has"), [(None, "nothing"), (str(EntryId(1, 0)), "1-0"), ("odd", "odd")]
)
async def test_a_proxy_that_does_not_acknowledge_in_time_is_named(
    projected: EventLog, run: Commands, acknowledged: str | None, has: str
) -> None:
    await note(projected, NEAR, acknowledged=acknowledged)
    done = await drained(run, "--timeout", "0.2")
    assert end_of(done) == 0
    assert f"not acknowledged within 0.2 s: near has {has}" in done.stderr
    assert "route_terminating" in done.stderr


async def test_without_a_proxy_nobody_can_acknowledge_and_that_is_said(
    projected: EventLog, run: Commands
) -> None:
    assert projected.partitions == 1
    done = await drained(run)
    assert end_of(done) == 0
    assert "nobody can acknowledge" in done.stderr
