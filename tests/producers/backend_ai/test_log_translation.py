"""The state on which live entries are translated: what our log has, whoever appended it."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.route import EndpointRouteListUpdatedEvent, RouteRecord
from events.log.log import EventLog
from producers.backend_ai.handoff_key import HandoffKey
from producers.backend_ai.log_translation import LogTranslation
from producers.backend_ai.translation import Translated
from producers.endpoints.endpoint_service import EndpointService
from tests.support.projectors import settled

ENDPOINT = uuid4()
SESSION, ROUTE = UUID(int=1), UUID(int=2)
RECORD = RouteRecord(
    route_id=ROUTE,
    session_id=SESSION,
    app="vllm",
    kernel_host="10.0.0.1",
    kernel_port=30_000,
    status="running",
)


async def record(log: EventLog) -> None:
    """Record an endpoint with one route, as another producer does."""
    service = EndpointService(log)
    await service.create(EndpointCreatedEvent(endpoint_id=ENDPOINT, name="one", model="a model"))
    await service.set_route_list(ENDPOINT, [RECORD])


async def trim(log: EventLog) -> None:
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", 0)


async def translated(state: LogTranslation) -> Translated:
    """Return what the list leads to that has the recorded route, without a key of its weight."""
    await state.head(ENDPOINT)
    args = msgspec.msgpack.encode([str(ENDPOINT)])
    item = {
        "session_id": str(SESSION),
        "route_id": str(ROUTE),
        "kernel_host": "10.0.0.1",
        "kernel_port": 30_000,
    }
    values = {
        HandoffKey(ENDPOINT, "route_connection_info"): msgspec.json.encode({"vllm": [item]}),
        HandoffKey(ENDPOINT, "health_check_enabled"): b"false",
    }
    fields = {b"name": b"endpoint_route_list_updated", b"args": args}
    return state.translate(fields, datetime.now(UTC), values)


async def test_it_follows_what_others_append(log: EventLog) -> None:
    state = LogTranslation(log)
    assert await state.endpoint_of(SESSION) is None
    await record(log)

    assert await state.endpoint_of(SESSION) == ENDPOINT
    assert (await translated(state)).outcome == "unchanged"
    await EndpointService(log).set_route_list(ENDPOINT, [])
    assert (await translated(state)).outcome == "translated"
    assert await state.endpoint_of(SESSION) is None


async def test_it_begins_with_the_documents_where_the_log_was_trimmed(log: EventLog) -> None:
    await record(log)
    async with settled(log):
        await trim(log)
        state = LogTranslation(log)

        assert await state.endpoint_of(SESSION) == ENDPOINT
        assert (await translated(state)).outcome == "unchanged"


async def test_what_was_trimmed_before_it_was_read_is_in_the_documents(log: EventLog) -> None:
    state = LogTranslation(log)
    await record(log)
    assert (await translated(state)).outcome == "unchanged"
    await EndpointService(log).set_traffic_ratio(ENDPOINT, ROUTE, 0.25)
    await EndpointService(log).set_route_list(ENDPOINT, [])
    async with settled(log):
        await trim(log)
        found = await translated(state)

    assert found.outcome == "translated"
    assert isinstance(found.events[0], EndpointRouteListUpdatedEvent)


async def test_a_log_that_was_trimmed_up_to_what_was_read_is_not_read_again(log: EventLog) -> None:
    state = LogTranslation(log)
    await record(log)
    assert await state.endpoint_of(SESSION) == ENDPOINT
    await trim(log)
    await EndpointService(log).create(
        EndpointCreatedEvent(endpoint_id=uuid4(), name="another", model="a model")
    )

    assert (await translated(state)).outcome == "unchanged"


async def test_a_log_that_began_anew_is_read_from_its_beginning(log: EventLog) -> None:
    state = LogTranslation(log)
    await record(log)
    assert (await translated(state)).outcome == "unchanged"
    await log.server.client.call("DEL", *log.keys.of_append(0))

    assert (await translated(state)).outcome == "translated"
