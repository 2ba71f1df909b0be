from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from consumers.runtime import projector as projector_module
from consumers.runtime.consumer import ConsumerSettings
from events import EventLog, open_log
from projections.projection import Projection
from tests.support.appending import Appending, truth
from tests.support.histories import (
    PROJECTIONS,
)
from tests.support.projectors import GREEDY, POLITE, member
from tests.support.read_model import live_documents
from tests.support.running_consumer import (
    consuming,
    documents,
    dying,
    is_settled,
    pending,
    until_settled,
)
from tests.support.waiting import wait_until

of_each = pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: one.name)


@pytest.fixture
def endpoints() -> list[UUID]:
    return [uuid4() for _ in range(5)]


@pytest.fixture(params=[100_000, 2], ids=["all-held", "few-held"])
def held_max(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a projector keep so many documents in memory."""
    monkeypatch.setattr(projector_module, "HELD_MAX", request.param)


@of_each
@pytest.mark.parametrize("settings", [GREEDY, POLITE], ids=["greedy", "polite"])
@pytest.mark.usefixtures("held_max")
async def test_two_projectors_that_share_a_partition_write_what_happened(
    log: EventLog,
    redis_url: str,
    projection: Projection[Any],
    settings: ConsumerSettings,
    endpoints: list[UUID],
) -> None:
    appending = [Appending(log, seed, endpoints) for seed in range(3)]
    async with (
        open_log(redis_url, namespace=log.keys.namespace) as other_log,
        consuming(
            member(log, projection, "one", settings),
            member(other_log, projection, "other", settings),
        ),
    ):
        async with anyio.create_task_group() as tasks:
            for one in appending:
                tasks.start_soon(one.run, 100)
        await until_settled(log, projection.name)
    written = await documents(log, projection)
    assert {one: state for one, (_, state) in written.items()} == truth(projection, appending)
    assert await pending(log, projection.name) == {}


@of_each
async def test_what_a_dead_projector_held_is_written_by_the_other(
    log: EventLog, redis_url: str, projection: Projection[Any], endpoints: list[UUID]
) -> None:
    appending = [Appending(log, seed, endpoints) for seed in range(2)]
    async with (
        open_log(redis_url, namespace=log.keys.namespace) as other_log,
        consuming(member(log, projection, "stays", GREEDY)),
        anyio.create_task_group() as tasks,
    ):
        for one in appending:
            tasks.start_soon(one.run, 150)
        for life in range(6):
            so_far = len(appending[0].acknowledged)
            async with dying(member(other_log, projection, f"dies-{life}", GREEDY)):
                await wait_until(has_more(appending[0], so_far + 30), "more was appended")
    async with consuming(member(log, projection, "last", GREEDY)):
        await until_settled(log, projection.name)
    written = await documents(log, projection)
    assert {one: state for one, (_, state) in written.items()} == truth(projection, appending)
    assert await pending(log, projection.name) == {}


def has_more(appending: Appending, wanted: int) -> Any:  # noqa: ANN401 - a predicate
    return lambda: len(appending.acknowledged) >= min(wanted, 150)


@of_each
async def test_a_read_model_deleted_under_two_projectors_is_built_again(
    log: EventLog, projection: Projection[Any], endpoints: list[UUID]
) -> None:
    appending = Appending(log, 1, endpoints)
    async with consuming(*(member(log, projection, name, GREEDY) for name in ("one", "other"))):
        for _ in range(4):
            await appending.run(30)
            live = log.keys.live(0, projection.name)
            await log.server.client.call("DEL", live)
            await appending.run(5)

            async def is_there() -> bool:
                there = await log.server.client.call("EXISTS", live)  # noqa: B023 - called here
                return bool(there) and await is_settled(log, projection.name)

            await wait_until(is_there, "it is built again")
    written = await documents(log, projection)
    assert {one: state for one, (_, state) in written.items()} == truth(projection, [appending])


@of_each
@pytest.mark.parametrize("damaged", [None, b"no document at all", b'{"revision":7,"routes":0}'])
async def test_a_document_lost_or_damaged_under_a_projector_is_folded_again(
    log: EventLog, projection: Projection[Any], endpoints: list[UUID], damaged: bytes | None
) -> None:
    appending = Appending(log, 2, endpoints[:1])
    async with consuming(member(log, projection, "one", POLITE)):
        await appending.run(20)
        await until_settled(log, projection.name)
        key = await live_documents(log, projection.name)
        if damaged is None:
            await log.server.client.call("HDEL", key, str(endpoints[0]))
        else:
            await log.server.client.call("HSET", key, str(endpoints[0]), damaged)
        await appending.run(1)
        await until_settled(log, projection.name)
    written = await documents(log, projection)
    assert {one: state for one, (_, state) in written.items()} == truth(projection, [appending])
