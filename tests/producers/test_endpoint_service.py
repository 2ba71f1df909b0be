from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from consumers.cli.endpoints.route_input import read_routes, route_at
from consumers.processes.embedded import EmbeddedServer
from events import START, EndpointCreatedEvent, EventLog, Metadata, RouteRecord, open_log
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.errors import InvalidEventError
from producers.endpoints import endpoint_service, endpoint_state
from producers.endpoints.endpoint_service import EndpointService, Recorded
from producers.errors import (
    BacklogError,
    ContendedEndpointError,
    EndpointExistsError,
    UnknownRouteError,
)
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import E, created, listed, record, route_created, terminating, weighted
from tests.support.projectors import POLITE, member
from tests.support.read_model import live_documents
from tests.support.running_consumer import consuming, pending, until_settled
from tests.support.script_calls import call_of
from tests.support.tcp_proxy import Held, tcp_proxy
from tests.support.waiting import wait_until

GROUP = ROUTE_TABLE.name
R = record(0).route_id
APPEND = call_of("events.log", "append")
HEAD = call_of("events.log", "head")


@pytest.fixture
def service(log: EventLog) -> EndpointService:
    return EndpointService(log)


@pytest.fixture
async def other_log(redis_url: str, log: EventLog) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=log.keys.namespace) as opened:
        yield opened


async def events_of(log: EventLog) -> list[Event]:
    return [one.event async for one in log.read()]


async def project(log: EventLog) -> None:
    """Let a projector run until it has nothing left to do."""
    async with consuming(member(log, ROUTE_TABLE, "projector", POLITE)):
        await until_settled(log, GROUP)


async def deliver(log: EventLog, count: int, consumer: str = "silent") -> list[bytes]:
    """Deliver entries to a consumer that does nothing with them."""
    reply = await log.server.client.execute_command(
        *("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count),
        *("STREAMS", log.keys.events(0), ">"),
    )
    return [entry_id for entry_id, _ in reply[0][1]]


async def test_commands_are_recorded_and_read_back_without_any_projector(
    log: EventLog, service: EndpointService
) -> None:
    first = await service.create(created())
    await service.create_route(E, record(0))
    await service.start_route(E, record(0, kernel_host="10.0.0.1", kernel_port=80))
    await service.set_traffic_ratio(E, R, 0.25)
    await service.record_status(E, R, "healthy", reason="first success")
    await service.update_health_check(E, HealthCheck(path="/health"))
    endpoint = await service.read(E)
    [route] = endpoint.present_routes
    assert (route.status, route.health, route.traffic_ratio) == ("running", "healthy", 0.25)
    assert endpoint.health_check == HealthCheck(path="/health")
    assert (first.before.version, len(first.entry_ids)) == (START, 1)
    assert endpoint.version == await log.head(0)
    await service.fail_route(E, R, ["broke"])
    await service.terminate_route(E, R)
    await service.set_route_list(E, [])
    await service.destroy(E)
    assert (await service.read(E)).is_destroyed
    assert len(await events_of(log)) == 9


async def test_a_command_that_changes_nothing_appends_nothing(
    log: EventLog, service: EndpointService
) -> None:
    await service.create(created())
    done = await service.set_route_list(E, [])
    assert (done.decision, done.entry_ids) == ((), ())
    assert len(await events_of(log)) == 1


async def test_a_command_that_is_refused_appends_nothing(
    log: EventLog, service: EndpointService
) -> None:
    await service.create(created())
    with pytest.raises(EndpointExistsError):
        await service.create(created())
    with pytest.raises(UnknownRouteError):
        await service.terminate_route(E, R)
    with pytest.raises(InvalidEventError):
        await service.create_route(E, record(0, traffic_ratio=7e6))
    assert len(await events_of(log)) == 1


async def test_what_is_recorded_carries_the_services_metadata(log: EventLog) -> None:
    about = Metadata(request_id="r-1")
    await EndpointService(log, metadata=about).create(created())
    assert [one.metadata async for one in log.read()] == [about]


@pytest.mark.parametrize("projecting", [False, True], ids=["no projector", "projector"])
async def test_two_services_that_race_on_one_endpoint_never_lose_an_update(
    log: EventLog, other_log: EventLog, *, projecting: bool
) -> None:
    services = [EndpointService(log), EndpointService(other_log)]
    await services[0].create(created())
    routes = [RouteRecord(route_id=UUID(int=number)) for number in range(40)]
    projectors = [member(log, ROUTE_TABLE, "projector", POLITE)] if projecting else []

    async def add_each(service: EndpointService, mine: list[RouteRecord]) -> None:
        for route in mine:
            await add(service, route)

    async with consuming(*projectors), anyio.create_task_group() as tasks:
        for place, service in enumerate(services):
            tasks.start_soon(add_each, service, routes[place::2])
    endpoint = await services[1].read(E)
    assert [route.route_id for route in endpoint.present_routes] == [r.route_id for r in routes]


async def add(service: EndpointService, route: RouteRecord) -> Recorded:
    """Add a route by writing the whole list: a lost update loses routes."""

    def decide(endpoint: Endpoint) -> tuple[Event, ...]:
        known = [RouteRecord(route_id=one.route_id) for one in endpoint.present_routes]
        return (listed(*known, route),)

    return await service.record(E, decide)


async def test_of_two_creations_one_is_recorded(log: EventLog, other_log: EventLog) -> None:
    outcomes = []

    async def create(at: EventLog, event: EndpointCreatedEvent) -> None:
        try:
            outcomes.append((await EndpointService(at).create(event)).entry_ids)
        except EndpointExistsError:
            outcomes.append(())

    async with anyio.create_task_group() as tasks:
        for place in range(10):
            tasks.start_soon(create, (log, other_log)[place % 2], created(name=f"v{place}"))
    assert sum(map(bool, outcomes)) == 1
    assert len(await events_of(log)) == 1


async def test_a_service_that_is_always_too_late_gives_up(
    log: EventLog,
    service: EndpointService,
    shared_server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint_service, "TRIES_MAX", 3)
    await service.create(created())
    seen = []

    def decide(endpoint: Endpoint) -> tuple[Event, ...]:
        seen.append(endpoint.version)
        return (route_created(0),)

    async with (
        tcp_proxy(shared_server.port) as proxy,
        open_log(proxy.url, namespace=log.keys.namespace) as far,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(get_ahead, log, [proxy.hold_next(APPEND) for _ in range(3)])
        with pytest.raises(ContendedEndpointError, match="changed by others 3 times in a row"):
            await EndpointService(far).record(E, decide)
    assert sorted(set(seen)) == seen
    assert len(seen) == 3
    assert len(await events_of(log)) == 4


async def get_ahead(log: EventLog, held: list[Held]) -> None:
    """Append in front of each append that is held."""
    for one in held:
        await one.arrived.wait()
        await log.append(weighted(0.5))
        await one.release()


async def test_an_older_entry_that_is_pending_is_not_overlooked(
    log: EventLog, service: EndpointService
) -> None:
    await log.append(created())
    await project(log)
    older, newer = (await log.append(route_created(0), weighted(0.25))).entry_ids
    await deliver(log, 2)
    claim = ("XCLAIM", log.keys.events(0), GROUP, "projector", 0, str(newer))
    await log.server.client.call(*claim)
    await log.append(route_created(1))

    async def is_ahead() -> bool:
        return set(await pending(log, GROUP)) == {older}

    async with consuming(member(log, ROUTE_TABLE, "projector", POLITE)):
        await wait_until(is_ahead, "only the older entry is pending")
    endpoint = await service.read(E)
    assert len(endpoint.present_routes) == 2
    assert endpoint.routes[R].traffic_ratio == 0.25


async def test_what_is_not_delivered_yet_is_not_overlooked(
    log: EventLog, service: EndpointService
) -> None:
    await log.append(created())
    await project(log)
    await log.append(route_created(0), terminating(0))
    assert (await service.read(E)).routes[R].status == "terminating"
    await deliver(log, 1)
    assert (await service.read(E)).routes[R].status == "terminating"
    await deliver(log, 1)
    assert (await service.read(E)).routes[R].status == "terminating"


@pytest.mark.parametrize("question", [b"GROUPS", b"XPENDING", HEAD, b"HMGET"])
async def test_an_entry_delivered_between_two_questions_is_not_overlooked(
    log: EventLog, shared_server: EmbeddedServer, question: bytes
) -> None:
    await log.append(created())
    await project(log)
    await log.append(weighted(0.25), route_created(0))
    read: list[Endpoint] = []
    async with (
        tcp_proxy(shared_server.port) as proxy,
        open_log(proxy.url, namespace=log.keys.namespace) as far,
        anyio.create_task_group() as tasks,
    ):

        async def ask() -> None:
            read.append(await EndpointService(far).read(E))

        held = proxy.hold_next(question)
        tasks.start_soon(ask)
        await held.arrived.wait()
        await deliver(log, 2)
        await held.release()
    assert len(read[0].present_routes) == 1


async def test_a_read_model_that_is_gone_is_not_missed(
    log: EventLog, service: EndpointService
) -> None:
    await service.create(created())
    await service.create_route(E, record(0))
    await project(log)
    await log.server.client.call("DEL", log.keys.live(0, GROUP))
    assert len((await service.read(E)).present_routes) == 1
    await service.set_traffic_ratio(E, R, 0.5)


async def test_a_document_that_was_lost_is_not_taken_for_a_new_endpoint(
    log: EventLog, service: EndpointService
) -> None:
    await service.create(created())
    await project(log)
    await log.server.client.call("HDEL", await live_documents(log, GROUP), str(E))
    assert (await service.read(E)).name == "chat"
    with pytest.raises(EndpointExistsError):
        await service.create(created())


async def test_the_document_spares_reading_the_log(
    log: EventLog, service: EndpointService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_state, "CATCH_UP_MAX", 3)
    others = [replace(weighted(0.5), endpoint_id=uuid4()) for _ in range(20)]
    await log.append(*others, created())
    with pytest.raises(BacklogError, match="a backlog of more than 3 entries; start it"):
        await service.read(E)
    await project(log)
    assert (await service.read(E)).name == "chat"


async def test_routes_are_read_from_json() -> None:
    [one] = read_routes(
        b'[{"route_id":"%s","kernel_host":"h","kernel_port":1}]' % str(R).encode(), "f"
    )
    assert one == record(0, kernel_host="h", kernel_port=1, status="running")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[", "f: no JSON"),
        (b"[" * 100_000, "f: no JSON"),
        (b"{}", "f: value: Expected `array`"),
        (b'[{"route":1}]', "unknown field `route`"),
        (b'[{"app":"x"}]', "missing required field `route_id`"),
        (b'[{"route_id":"x"}]', r"f: \[0\].route_id: 'x' is not allowed"),
        (b'[{"route_id":"%s","ratio":1}]' % str(R).encode(), "unknown field `ratio`"),
        (b'[{"route_id":"%s","traffic_ratio":2e6}]' % str(R).encode(), "traffic_ratio: 2000000"),
        (
            b'[{"route_id":"%s","labels":{"a b":"1"}}]' % str(R).encode(),
            r"labels: key 'a b' is not",
        ),
        (b'[{"route_id":"%s","labels":{"a":1}}]' % str(R).encode(), r"labels.a: 1 is not allowed"),
        (b" " * 1_048_577, "more than 1048576 bytes, which is the limit"),
    ],
)
async def test_what_is_no_list_of_routes_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(InvalidEventError, match=sentence):
        read_routes(content, "f")


async def test_a_route_of_a_file_has_its_labels() -> None:
    [route] = read_routes(b'[{"route_id":"%s","labels":{"zone":"a"}}]' % str(R).encode(), "f")
    assert route.labels == {"zone": "a"}


@pytest.mark.parametrize(
    "address", ["", "h", "h:", ":1", "h:0", "h:65536", "h:x", "h:\xb2", "h:-1"]
)
async def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidEventError, match="is not HOST:PORT"):
        route_at(Endpoint(endpoint_id=E), address, {})
