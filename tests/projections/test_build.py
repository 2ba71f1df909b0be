from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from events import START, EntryId, EventLog, RouteCreatedEvent, RouteRecord, fold, open_log
from events.catalogue.event import Event
from events.errors import ServerUnavailableError
from projections.catalogue import PROJECTIONS
from projections.errors import TooManyRoutesError
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.replay.folding import Folding
from projections.replay.replay import replay
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import E, created, listed, observed, record, started
from tests.support.log_lines import captured_lines
from tests.support.read_model import generations_there
from tests.support.script_calls import call_of
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

LIFE: tuple[Event, ...] = (created(), listed(record(0), record(1)), started(), observed("healthy"))


def store_of(log: EventLog, projection: Projection[Any]) -> ReadModelStore[Any]:
    return ReadModelStore(log.server, log.keys, projection, 0)


async def folded(log: EventLog, projection: Projection[Any]) -> Any:  # noqa: ANN401
    events = [one async for one in log.read() if one.endpoint_id == E]
    return fold(projection.evolve, projection.initial(E), events)


async def documents(store: ReadModelStore[Any]) -> list[tuple[int, Any]]:
    generation = await store.live_generation()
    assert generation is not None
    return [one async for one in store.load_all(generation)]


@pytest.mark.parametrize("projection", PROJECTIONS.values(), ids=PROJECTIONS)
async def test_a_build_is_the_fold_of_the_whole_log(
    log: EventLog, projection: Projection[Any]
) -> None:
    last = (await log.append(*LIFE)).entry_ids[-1]
    store = store_of(log, projection)
    assert await build(log, store) == last
    assert await documents(store) == [(1, await folded(log, projection))]
    assert await generations_there(log, projection.name) == [await store.live_generation()]


async def test_an_empty_log_builds_an_empty_read_model(log: EventLog) -> None:
    store = store_of(log, ROUTE_TABLE)
    assert await build(log, store) == START
    assert await documents(store) == []


async def test_a_stray_value_where_no_generation_was_stops_no_build(log: EventLog) -> None:
    await log.append(*LIFE)
    stray = log.keys.documents(0, ROUTE_TABLE.name, 0)
    await log.server.client.call("SET", stray, "no hash")
    store = store_of(log, ROUTE_TABLE)
    await build(log, store)
    assert await documents(store) == [(1, await folded(log, ROUTE_TABLE))]


async def test_what_cannot_be_read_or_folded_stops_no_build(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.append(*LIFE[:2])
    add = ("XADD", log.keys.events(0), "*", "name")
    await log.server.client.call(*add, "route_created", "payload", "[" * 100_000)
    await log.server.client.call(*add, "not_ours", "payload", "{}")
    await log.append(RouteCreatedEvent(endpoint_id=E, route=RouteRecord(route_id=uuid4())))
    last = (await log.append(*LIFE[2:])).entry_ids[-1]
    monkeypatch.setattr("projections.route_set.FOLLOWED_MAX", 2)
    with pytest.raises(TooManyRoutesError):
        await folded(log, ROUTE_TABLE)
    with captured_lines() as logs:
        assert await build(log, store_of(log, ROUTE_TABLE)) == last
    assert [line["event"] for line in logs] == ["event_not_folded", "generation_built"]
    assert logs[-1]["unreadable"] == 1
    [(_, endpoint)] = await documents(store_of(log, ROUTE_TABLE))
    assert len(endpoint.present_routes) == 2
    assert endpoint.present_routes[0].health == "healthy"


async def test_where_another_generation_went_live_the_build_is_discarded(log: EventLog) -> None:
    await log.append(*LIFE)
    store = store_of(log, ROUTE_TABLE)
    await build(log, store)
    live = await store.live_generation()
    await build(log, store)
    assert await store.live_generation() == live
    assert await generations_there(log, ROUTE_TABLE.name) == [live]


@asynccontextmanager
async def far(log: EventLog, proxy: TcpProxy) -> AsyncIterator[EventLog]:
    async with open_log(proxy.url, namespace=log.keys.namespace) as opened:
        yield opened


async def test_a_group_of_two_builds_at_once_begins_behind_no_entry_that_is_not_folded(
    log: EventLog, shared_server: EmbeddedServer
) -> None:
    [first] = (await log.append(LIFE[0])).entry_ids
    begins: dict[str, EntryId] = {}

    async def run(name: str, at: EventLog) -> None:
        begins[name] = await build(at, store_of(at, ROUTE_TABLE))

    async with (
        tcp_proxy(shared_server.port) as proxy,
        far(log, proxy) as one,
        far(log, proxy) as other,
        anyio.create_task_group() as builds,
    ):
        winner = proxy.hold_next(call_of("projections.read_model", "swap"))
        builds.start_soon(run, "winner", one)
        await winner.arrived.wait()
        await log.append(LIFE[1])
        loser = proxy.hold_next(call_of("projections.read_model", "swap"))
        builds.start_soon(run, "loser", other)
        await loser.arrived.wait()
        await winner.release()
        await loser.release()
    [(_, endpoint)] = await documents(store_of(log, ROUTE_TABLE))
    assert endpoint.version == first
    assert all(begin <= first for begin in begins.values())


async def test_a_server_that_goes_away_meanwhile_is_just_that(own_server: EmbeddedServer) -> None:
    async with open_log(own_server.url) as log:
        for _ in range(4):
            await log.append(*(created() for _ in range(1_500)))

        def kill(_: Folding[Any]) -> None:
            own_server.kill()

        with pytest.raises(ServerUnavailableError):
            await replay(log, Folding(ROUTE_TABLE, 0), note=kill)
