"""The keeper of the life-cycle: it records what is due, once, whoever else keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
import pytest
from msgspec.structs import replace

from events import EndpointCreatedEvent, EventLog, HealthCheck, RouteRecord
from events.catalogue.event import Event
from producers.endpoints.endpoint_service import EndpointService
from producers.life_cycle.keeper import LifeCycleKeeper
from producers.life_cycle.settings import LifeCycleSettings
from projections.read_model.reader import RouteTableReader, open_reader
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import ROUTES, E
from tests.support.log_lines import captured_lines
from tests.support.projectors import POLITE, member
from tests.support.running_consumer import consuming, until_settled
from tests.support.waiting import wait_until

AT_ONCE = LifeCycleSettings(
    provisioning_s=0,
    warming_up_s=0,
    draining_s=0,
    terminating_s=0,
    evict_after_s=0,
    look_every_s=0.02,
)
STARTED = RouteRecord(route_id=ROUTES[0], kernel_host="10.0.0.1", kernel_port=30_000)


@pytest.fixture
async def service(log: EventLog) -> EndpointService:
    service = EndpointService(log)
    check = HealthCheck(path="/health")
    await service.create(
        EndpointCreatedEvent(endpoint_id=E, name="chat", model="m", health_check=check)
    )
    await service.create_route(E, RouteRecord(route_id=ROUTES[0]))
    return service


@pytest.fixture
async def table(log: EventLog, service: EndpointService) -> AsyncIterator[RouteTableReader]:
    """Follow the route table while a projector keeps it up to date."""
    assert (await service.read(E)).present_routes
    async with consuming(member(log, ROUTE_TABLE, "projector", POLITE)):
        await until_settled(log, ROUTE_TABLE.name)
        async with open_reader(log) as reader:
            yield reader


@asynccontextmanager
async def keeping(*keepers: LifeCycleKeeper) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        for keeper in keepers:
            tasks.start_soon(keeper.run)
        yield
        for keeper in keepers:
            await keeper.stop()


async def events_of(log: EventLog) -> list[Event]:
    return [one.event async for one in log.read()]


async def names_after(log: EventLog, count: int) -> list[str]:
    """Return the names of the events from the one at *count* on, oldest first."""
    return [event.wire_name for event in (await events_of(log))[count:]]


async def until_recorded(log: EventLog, *names: str, after: int) -> None:
    async def is_so() -> bool:
        return await names_after(log, after) == [*names]

    await wait_until(is_so, f"{names} are recorded")


async def test_a_terminating_route_is_drained_and_then_removed(
    log: EventLog, service: EndpointService, table: RouteTableReader
) -> None:
    await service.start_route(E, STARTED)
    await service.record_status(E, ROUTES[0], "healthy")
    await service.terminate_route(E, ROUTES[0], reason="scale down")
    async with keeping(LifeCycleKeeper(log, table, AT_ONCE)):
        await until_recorded(log, "route_drained", "route_terminated", after=5)
    assert (await service.read(E)).present_routes == []


async def test_ten_keepers_at_once_record_each_deadline_once(
    log: EventLog, service: EndpointService, table: RouteTableReader
) -> None:
    await service.start_route(E, STARTED)
    await service.terminate_route(E, ROUTES[0])
    keepers = [LifeCycleKeeper(log, table, AT_ONCE) for _ in range(10)]
    async with keeping(*keepers):
        await wait_until(lambda: not _routes(table), "the route left the table")
        await until_settled(log, ROUTE_TABLE.name)
    assert await names_after(log, 4) == ["route_drained", "route_terminated"]
    assert sum(keeper.recorded.total() for keeper in keepers) == 2


def _routes(table: RouteTableReader) -> list[UUID]:
    return [route.route_id for one in table.endpoints() for route in one.present_routes]


async def test_an_old_table_records_nothing_that_is_not_due_in_the_log(
    log: EventLog, service: EndpointService
) -> None:
    async with consuming(member(log, ROUTE_TABLE, "projector", POLITE)):
        await until_settled(log, ROUTE_TABLE.name)
    async with open_reader(log) as old:
        await service.start_route(E, STARTED)
        await service.record_status(E, ROUTES[0], "healthy")
        keeper = LifeCycleKeeper(log, old, AT_ONCE)
        await keeper.look()
        await keeper.look()
    assert await names_after(log, 4) == []


async def test_one_endpoint_that_cannot_be_recorded_delays_no_other(
    log: EventLog, service: EndpointService, table: RouteTableReader
) -> None:
    other = UUID(int=0xE2)
    await service.create(EndpointCreatedEvent(endpoint_id=other, name="code", model="m"))
    await service.create_route(other, RouteRecord(route_id=ROUTES[1]))
    await until_settled(log, ROUTE_TABLE.name)
    await wait_until(lambda: len(_routes(table)) == 2, "both are in the table")
    await log.server.client.execute_command("HSET", log.keys.heads(0), str(E), "damaged")
    keeper = LifeCycleKeeper(log, table, AT_ONCE)
    with captured_lines() as lines:
        await keeper.look()
        await keeper.look()
    told = [one for one in lines if one["log_level"] == "warning"]
    assert [(one["event"], one["endpoint_id"]) for one in told] == [
        ("deadline_not_recorded", str(E))
    ]
    assert keeper.recorded == {"route_failed": 1}
    assert (await service.read(other)).routes[ROUTES[1]].status == "failed"


async def test_retries_are_counted_and_then_reset(
    log: EventLog, service: EndpointService, table: RouteTableReader
) -> None:
    kept = replace(AT_ONCE, warming_up_s=600, provisioning_s=600)
    await service.fail_route(E, ROUTES[0], ["no GPU"])
    assert len((await service.read(E)).failures) == 1
    await service.create_route(E, RouteRecord(route_id=ROUTES[1]))
    await service.start_route(
        E, RouteRecord(route_id=ROUTES[1], kernel_host="10.0.0.1", kernel_port=1)
    )
    await service.record_status(E, ROUTES[1], "healthy")
    async with keeping(LifeCycleKeeper(log, table, kept)):
        await until_recorded(log, "endpoint_ready", after=6)
    assert (await service.read(E)).failures == ()


async def test_a_stopped_keeper_ends_at_once(log: EventLog, table: RouteTableReader) -> None:
    rarely = LifeCycleSettings(look_every_s=60)
    with anyio.fail_after(20):
        async with keeping(LifeCycleKeeper(log, table, rarely)):
            pass
