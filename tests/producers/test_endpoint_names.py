"""Two endpoints that exist do not share a name."""

from uuid import UUID, uuid4

import anyio
import pytest

from events import EventLog
from events.testing import MemoryLog
from producers.endpoints import endpoint_names
from producers.endpoints.endpoint_service import EndpointService
from producers.errors import EndpointExistsError, NameTakenError
from projections.route_table.lookup import shared_names
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import created, destroyed, endpoint_of, history
from tests.support.projectors import member
from tests.support.running_consumer import consuming, until_settled


@pytest.fixture(params=["redis", "memory"])
def service(request: pytest.FixtureRequest, log: EventLog) -> EndpointService:
    return EndpointService(log if request.param == "redis" else MemoryLog(partitions=4))


async def create(service: EndpointService, name: str, endpoint_id: UUID | None = None) -> UUID:
    event = created(endpoint_id=endpoint_id or uuid4(), name=name)
    await service.create(event)
    return event.endpoint_id


async def test_creating_a_second_endpoint_of_one_name_is_a_conflict(
    service: EndpointService,
) -> None:
    first = await create(service, "chat")
    with pytest.raises(NameTakenError, match=f"'chat' is that of endpoint {first}") as taken:
        await create(service, "chat")
    assert taken.value.endpoint_id == first
    await create(service, "code")
    with pytest.raises(EndpointExistsError):
        await create(service, "chat", first)


async def test_the_name_of_a_destroyed_endpoint_is_free(service: EndpointService) -> None:
    first = await create(service, "chat")
    await service.destroy(first)
    second = await create(service, "chat")
    with pytest.raises(NameTakenError, match=str(second)):
        await create(service, "chat")


async def test_of_many_that_are_created_at_once_with_one_name_one_is(log: EventLog) -> None:
    outcomes: list[bool] = []

    async def compete() -> None:
        try:
            await create(EndpointService(log), "chat")
        except NameTakenError:
            outcomes.append(False)
        else:
            outcomes.append(True)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(compete)
    assert sum(outcomes) == 1
    assert len([one async for one in log.read()]) == 1


async def test_a_name_that_was_claimed_for_an_endpoint_that_never_came_is_free_later(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = EndpointService(log)
    await service.claim_name(created(endpoint_id=uuid4(), name="chat"))
    with pytest.raises(NameTakenError):
        await create(service, "chat")
    monkeypatch.setattr(endpoint_names, "CLAIM_MS", 0)
    await create(service, "chat")


async def test_the_name_of_an_endpoint_of_the_release_before_is_known(log: EventLog) -> None:
    event = created(name="chat")
    async with consuming(member(log, ROUTE_TABLE)):
        await log.append(event)
        await until_settled(log, ROUTE_TABLE.read_model)
    with pytest.raises(NameTakenError, match=str(event.endpoint_id)):
        await create(EndpointService(log), "chat")


def test_endpoints_that_share_a_name_are_told() -> None:
    events = [created(endpoint_id=UUID(int=number), name="chat") for number in range(3)]
    sharing = [endpoint_of(history(event)) for event in events]
    gone = endpoint_of(history(created(name="old"), destroyed()))
    assert shared_names([*sharing, gone, gone]) == [
        "3 endpoints have the name 'chat': only their ids name them"
    ]
    assert shared_names(sharing[:1]) == []
