"""Code that decides, folds and routes, tested without a server."""

import anyio
import pytest

from events import START, Durability, EntryId, fold
from events.log.batch import Batch
from events.testing import MemoryLog
from producers import EndpointService
from producers.endpoints.endpoint_service import TRIES_MAX
from producers.errors import ContendedEndpointError, EndpointExistsError
from projections import ROUTE_TABLE, routable
from tests.support.histories import E, created, record, route_created, weighted

R = record(0).route_id
STARTED = record(0, kernel_host="10.0.0.1", kernel_port=80)


@pytest.mark.parametrize("partitions", [1, 4])
async def test_commands_are_recorded_and_read_back(partitions: int) -> None:
    log = MemoryLog(partitions=partitions)
    service = EndpointService(log)
    first = await service.create(created())
    await service.create_route(E, record(0))
    await service.start_route(E, STARTED)
    await service.set_traffic_ratio(E, R, 0.25)
    await service.record_status(E, R, "healthy", reason="first success")
    endpoint = await service.read(E)
    [route] = endpoint.present_routes
    assert (route.status, route.health, route.traffic_ratio) == ("running", "healthy", 0.25)
    assert (first.before.version, len(first.entry_ids)) == (START, 1)
    assert endpoint.version == await log.endpoint_head(E)
    with pytest.raises(EndpointExistsError):
        await service.create(created())
    assert (await service.set_traffic_ratio(E, R, 0.25)).entry_ids == ()
    assert len([one async for one in log.read()]) == 5


async def test_what_is_routable_is_folded_from_the_log() -> None:
    log = MemoryLog()
    service = EndpointService(log)
    await service.create(created(health_check=None))
    await service.create_route(E, record(0))
    await service.start_route(E, STARTED)
    recorded = [one async for one in log.read()]
    endpoint = fold(ROUTE_TABLE.evolve, ROUTE_TABLE.initial(E), recorded)
    assert [(one.kernel_host, one.kernel_port) for one in routable(endpoint)] == [("10.0.0.1", 80)]
    assert endpoint == await service.read(E)


async def test_after_a_conflict_it_decides_again_on_what_another_has_recorded() -> None:
    log = MemoryLog()
    services = [EndpointService(log) for _ in range(3)]
    await services[0].create(created())

    async def add(number: int) -> None:
        await services[number].create_route(E, record(number))

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(add, number)
    assert len((await services[0].read(E)).present_routes) == 3


class OvertakenLog(MemoryLog):
    """A log on which another writer is always faster."""

    async def append_batch(self, batch: Batch, durability: Durability) -> list[EntryId]:
        if batch.expected is not None:
            await self.append(weighted(0.5))
        return await super().append_batch(batch, durability)


async def test_a_writer_that_is_always_overtaken_gives_up() -> None:
    log = OvertakenLog()
    with pytest.raises(ContendedEndpointError, match=f"by others {TRIES_MAX} times in a row"):
        await EndpointService(log).record(E, lambda _endpoint: (route_created(0),))
    assert len([one async for one in log.read()]) == TRIES_MAX
