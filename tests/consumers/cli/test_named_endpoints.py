"""Endpoints are given by their names, also before a read model has them."""

import json
from uuid import UUID

import anyio
import pytest

from consumers.cli.dead.dead import list_dead
from consumers.cli.endpoints import named_endpoint
from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.endpoints.named_endpoint import endpoint_id_of, live_endpoint
from consumers.cli.endpoints.record import create
from consumers.cli.endpoints.routes import routes, status
from consumers.cli.endpoints.trace import trace_events
from consumers.cli.events.tail import events
from events import EventLog
from events.catalogue.endpoint import EndpointCreatedEvent, EndpointDestroyedEvent
from projections.errors import (
    AmbiguousEndpointError,
    EndpointNotFoundError,
    NoLiveGenerationError,
)
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of

CHAT, OTHER = UUID("c4a70000-0000-4000-8000-000000000000"), UUID(int=7)


async def go_live(log: EventLog) -> None:
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))


def created(endpoint_id: UUID, name: str = "chat") -> EndpointCreatedEvent:
    return EndpointCreatedEvent(endpoint_id=endpoint_id, name=name, model="m")


@pytest.mark.usefixtures("log")
async def test_what_was_just_created_is_written_to_by_its_name_without_a_read_model(
    run: Commands,
) -> None:
    made = await run(create, "chat", "--model", "m", "--id", str(CHAT), "--yes")
    assert made.exit_code == 0, made.output
    listed = await run(routes, "set", "chat", "--route", "10.0.0.1:8000", "--yes")
    assert listed.exit_code == 0, listed.output
    route = listed.stdout.strip()
    for named in ("chat", "c4a7", str(CHAT)):
        done = await run(status, "record", named, route[:8], "healthy", "--yes")
        assert done.exit_code == 0, done.output
    traced = await run(trace_events, "chat", "-o", "json")
    assert {one["endpoint_id"] for one in json.loads(traced.stdout)} == {str(CHAT)}
    nobody = await run(routes, "set", "nobody", "--route", "10.0.0.1:8000", "--yes")
    assert isinstance(nobody.exception, NoLiveGenerationError)


async def test_a_name_that_was_given_again_is_the_new_endpoints_before_it_is_folded(
    log: EventLog,
) -> None:
    await log.append(created(OTHER))
    await log.append(EndpointDestroyedEvent(endpoint_id=OTHER))
    await go_live(log)
    assert await endpoint_id_of(log, "chat") == OTHER
    await log.append(created(CHAT))
    assert await endpoint_id_of(log, "chat") == CHAT
    await log.append(created(UUID(int=9), "second"), created(UUID(int=10), "second"))
    with pytest.raises(AmbiguousEndpointError):
        await endpoint_id_of(log, "second")


async def test_a_reading_command_waits_for_the_read_model_to_have_what_is_in_the_log(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_endpoint, "WAIT_S", 20.0)
    await log.append(created(CHAT))
    waits = anyio.Event()
    found: list[tuple[int, Endpoint]] = []

    async def find() -> None:
        found.append(await live_endpoint(log, "chat"))

    monkeypatch.setattr(named_endpoint, "say", lambda _: waits.set())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(find)
        await waits.wait()
        assert found == []
        await go_live(log)
    assert [state.endpoint_id for _, state in found] == [CHAT]


async def test_the_wait_is_bounded_and_nobody_waits_for_what_is_not_in_the_log(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_endpoint, "WAIT_S", 0.2)
    await log.append(created(CHAT))
    late = await run(endpoints, "show", "chat")
    assert isinstance(late.exception, NoLiveGenerationError)
    assert "waiting" in late.stderr
    unknown = await run(endpoints, "show", "nobody")
    assert isinstance(unknown.exception, NoLiveGenerationError)
    assert "waiting" not in unknown.stderr


@pytest.mark.parametrize("where", ["log", "read model"])
@pytest.mark.parametrize("named", ["chat", "c4a7", "C4A7", str(CHAT), str(CHAT).upper()])
async def test_the_option_takes_a_name_an_id_or_its_beginning(
    log: EventLog, run: Commands, named: str, where: str
) -> None:
    await log.append(created(CHAT), created(OTHER, "other"))
    if where == "read model":
        await go_live(log)
    found = await run(events, "tail", "--endpoint", named, "-o", "json")
    assert [one["payload"]["name"] for one in json.loads(found.stdout)] == ["chat"]


async def test_a_name_that_nobody_has_is_not_found(log: EventLog, run: Commands) -> None:
    await log.append(created(CHAT))
    await go_live(log)
    for command, *words in (
        (events, "tail"),
        (events, "range", "start.."),
        (list_dead,),
    ):
        result = await run(command, *words, "--endpoint", "nobody")
        assert isinstance(result.exception, EndpointNotFoundError), result.output
        assert end_of(result) == 3
    foreign = await run(events, "tail", "--stream", log.keys.events(0), "--endpoint", "chat")
    assert foreign.exit_code == 2
    assert "a foreign stream knows no names" in foreign.stderr
