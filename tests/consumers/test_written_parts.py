"""A batch is written in parts: one is folded while the one before it is written."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from consumers.runtime import projector as projector_module
from consumers.runtime.outcome import DeadLetter, Delivery, Retry
from consumers.runtime.projector import Projector
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog
from projections.projection import Projection
from projections.read_model.store import Applied, ReadModelStore
from projections.replay.build import build
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.running_consumer import (
    QUICK,
    add_raw,
    create_group,
    fill,
    folded_in_order,
    pending,
    states,
)

NAME = ROUTE_TABLE.name
DEADLINE_S = 20.0

Apply = Callable[..., Awaitable[Applied]]


async def delivered(log: EventLog) -> list[Delivery]:
    await log.server.client.execute_command(
        *("XREADGROUP", "GROUP", NAME, "first", "COUNT", 100_000),
        *("STREAMS", log.keys.events(0), ">"),
    )
    return [Delivery(entry) async for chunk in log.read_entries(0) for entry in chunk]


async def prepared(log: EventLog, projection: Projection[Endpoint]) -> Projector[Endpoint]:
    projector = Projector(log, projection, 0, QUICK.policy)
    await projector.prepare()
    return projector


def around_apply(
    patched: pytest.MonkeyPatch, around: Callable[[Apply], Awaitable[Applied]]
) -> None:
    """Have *around* call each apply that has something to write."""
    apply = ReadModelStore.apply

    async def wrapped(store: ReadModelStore[Any], *args: Any) -> Applied:  # noqa: ANN401
        if len(args) < 3:
            return await apply(store, *args)
        return await around(lambda: apply(store, *args))

    patched.setattr(ReadModelStore, "apply", wrapped)


async def test_the_next_endpoints_are_folded_before_a_write_has_ended(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_module, "APPLY_MAX", 2)
    folded: set[object] = set()
    third_is_folded = anyio.Event()

    def evolve(state: Endpoint, recorded: RecordedEvent) -> Endpoint:
        folded.add(recorded.endpoint_id)
        if len(folded) == 3:
            third_is_folded.set()
        return ROUTE_TABLE.evolve(state, recorded)

    async def write_once_folded(apply: Apply) -> Applied:
        await third_is_folded.wait()
        return await apply()

    await create_group(log, NAME)
    projector = await prepared(log, replace(ROUTE_TABLE, evolve=evolve))
    await fill(log, 4)
    around_apply(monkeypatch, write_once_folded)

    with anyio.fail_after(DEADLINE_S):
        assert await projector.process(await delivered(log)) == []

    assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)
    assert await pending(log, NAME) == {}


async def swap(log: EventLog) -> None:
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    await log.server.client.call("DEL", log.keys.live(0, NAME))
    await build(log, store)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_parts_that_were_folded_for_a_generation_that_is_gone_are_folded_again(
    log: EventLog, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    monkeypatch.setattr(projector_module, "APPLY_MAX", 2)
    await create_group(log, NAME)
    applies = 0

    def evolve(state: Endpoint, recorded: RecordedEvent) -> Endpoint:
        if recorded.entry_id == failing:
            raise ValueError("it cannot be folded")
        return ROUTE_TABLE.evolve(state, recorded)

    async def swapped_before(apply: Apply) -> Applied:
        nonlocal applies
        applies += 1
        if applies == place + 1:
            await swap(log)
        return await apply()

    projector = await prepared(log, replace(ROUTE_TABLE, evolve=evolve))
    await fill(log, 6)
    await add_raw(log, b"name", b"route_created", b"payload", b"{}")
    deliveries = await delivered(log)
    failing = deliveries[7].entry_id
    around_apply(monkeypatch, swapped_before)

    ended = await projector.process(deliveries)

    assert [(delivery, type(outcome)) for delivery, outcome in ended] == [
        (deliveries[-1], DeadLetter),
        (deliveries[7], Retry),
    ]
    assert set(await pending(log, NAME)) == {delivery.entry_id for delivery, _ in ended}


async def test_a_write_that_fails_is_told_as_it_is(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_module, "APPLY_MAX", 2)
    await create_group(log, NAME)
    projector = await prepared(log, ROUTE_TABLE)
    await fill(log, 6)

    async def refused(_apply: Apply) -> Applied:
        raise ConnectionResetError

    around_apply(monkeypatch, refused)
    with pytest.raises(ConnectionResetError):
        await projector.process(await delivered(log))
