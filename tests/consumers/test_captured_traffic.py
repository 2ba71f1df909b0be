"""The acceptance test: real traffic of release 25.15.0, from import to what the operator reads."""

import os
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import msgspec
import pytest

from consumers.processes.supervisor import routestream_command
from consumers.runtime.outcome import Delivery, RetryPolicy
from consumers.runtime.projector import Projector
from events.entry.entry_id import EntryId
from events.log.log import EventLog, open_log
from producers.backend_ai.importer import SOURCE, import_capture
from projections.health_state.endpoint_health import EndpointHealth
from projections.health_state.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.group_process import processes
from tests.support.projectors import store_of
from tests.support.running_consumer import (
    create_group,
    dead_letters,
    deliver,
    folded_in_order,
    make_idle,
    pending,
    states,
    until_settled,
)
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import wait_until

DATA = Path(__file__).parents[1] / "data"
CAPTURE = DATA / "backend-ai-25.15.0-traffic.jsonl"
EXPECTED = DATA / "backend-ai-25.15.0-expected.json"
GROUPS = (ROUTE_TABLE.name, HEALTH_STATE.name)


@pytest.fixture
async def imported(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    """A fresh log that the capture was imported into."""
    if not CAPTURE.exists() or not EXPECTED.exists():
        pytest.skip(f"the captured traffic is not there: {DATA}")
    async with open_log(redis_url, namespace=namespace, source=SOURCE) as log:
        await import_capture(log, CAPTURE)
        yield log


def expected() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(EXPECTED.read_bytes())
    return found


async def listed(log: EventLog, url: str) -> dict[str, Any]:
    """Return what `endpoints ls -o json` prints, as the file of what is expected has it."""
    environment = {**os.environ, "REDIS_URL": url, "ROUTESTREAM_NAMESPACE": log.keys.namespace}
    command = routestream_command("endpoints", "ls", "-o", "json")
    done = await anyio.run_process(command, env=environment, stderr=None)
    return {one["endpoint_id"]: _as_expected(one) for one in msgspec.json.decode(done.stdout)}


def _as_expected(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    names = ("app", "kernel_host", "kernel_port", "route_id", "session_id", "traffic_ratio")
    routes = [
        {
            **{name: route[name] for name in names},
            "health": None if route["health"] == "not_checked" else route["health"],
        }
        for route in endpoint["routes"]
    ]
    return {"health_check": endpoint["health_check"], "routes": routes}


def assert_health_agrees(health: Mapping[UUID, EndpointHealth]) -> None:
    """Assert that the health state tells of each expected route what is expected of it."""
    for endpoint_id, endpoint in expected().items():
        known = health[UUID(endpoint_id)].routes
        for route in endpoint["routes"]:
            assert known[UUID(route["route_id"])].health == (route["health"] or "not_checked")


async def lag(log: EventLog, group: str) -> int:
    groups = await log.server.client.execute_command("XINFO GROUPS", log.keys.events(0))
    return next(int(one["lag"]) for one in groups if one["name"].decode() == group)


async def test_two_processes_of_each_group_one_of_each_killed_show_what_is_expected(
    imported: EventLog, redis_url: str
) -> None:
    for projection in (ROUTE_TABLE, HEALTH_STATE):
        await create_group(imported, projection.name)
        # There is a read model, of nothing: all of it has to come through the group.
        store = store_of(imported, projection)
        generation = await store.new_generation()
        await store.write(generation, [])
        assert await store.go_live(generation, None)

    async with (
        tcp_proxy(int(redis_url.rpartition(":")[2])) as proxy,
        processes(imported, redis_url) as started,
    ):
        proxy.delay_s = 0.05  # so that it is not done when it is killed
        for group in GROUPS:
            before = await lag(imported, group)
            victim = await started.start(group, "victim", batch_size=3, url=proxy.url)
            left = await until_less(imported, group, before)
            victim.freeze()
            assert left > 0
            await victim.kill()
            await started.start(group, "other", batch_size=3)
        for group in GROUPS:
            await until_settled(imported, group)

        assert await listed(imported, redis_url) == expected()

    assert_health_agrees(await states(imported, HEALTH_STATE))
    for projection in (ROUTE_TABLE, HEALTH_STATE):
        assert await states(imported, projection) == await folded_in_order(imported, projection)
        assert await dead_letters(imported, projection.name) == []


async def until_less(log: EventLog, group: str, than: int) -> int:
    """Return the group's lag as soon as it is less."""
    found = than

    async def less() -> bool:
        nonlocal found
        found = await lag(log, group)
        return found < than

    await wait_until(less, f"{group} has begun")
    return found


async def test_a_read_model_built_from_the_log_shows_what_is_expected(
    imported: EventLog, redis_url: str
) -> None:
    async with processes(imported, redis_url) as started:
        for group in GROUPS:
            await started.start(group, "first")
            await until_settled(imported, group)

        assert await listed(imported, redis_url) == expected()
    assert_health_agrees(await states(imported, HEALTH_STATE))


async def test_processes_that_claim_the_entries_in_another_order_show_what_is_expected(
    imported: EventLog, redis_url: str
) -> None:
    chance = random.Random(7)
    for group in GROUPS:
        await create_group(imported, group)
        await imported.server.client.call("SET", imported.keys.live(0, group), 1)
        await imported.server.client.call("HSET", imported.keys.generations(0), group, 1)
        await deliver(imported, "silent", 100_000, group)

    async with processes(imported, redis_url) as started:
        for group in GROUPS:
            entries = list(await pending(imported, group))
            chance.shuffle(entries)
            await keep_busy(imported, group, entries)
            await started.start(group, "first")
            await started.start(group, "second")
            for at in range(0, len(entries), 100):
                await keep_busy(imported, group, entries[at:])
                await make_idle(imported, "silent", entries[at : at + 100], group)
                await until_ended(imported, group, set(entries[at : at + 100]))
            await until_settled(imported, group)

        assert await listed(imported, redis_url) == expected()
    assert_health_agrees(await states(imported, HEALTH_STATE))


async def keep_busy(log: EventLog, group: str, entries: list[EntryId]) -> None:
    """Let *entries* look as if they were being worked on, so that nobody claims them yet."""
    await log.server.client.call(
        *("XCLAIM", log.keys.events(0), group, "silent", 0, *map(str, entries)),
        *("RETRYCOUNT", 1, "JUSTID"),
    )


async def until_ended(log: EventLog, group: str, entries: set[EntryId]) -> None:
    async def none_pending() -> bool:
        return entries.isdisjoint(await pending(log, group))

    await wait_until(none_pending, f"{group} has ended {len(entries)} entries")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("projection", [ROUTE_TABLE, HEALTH_STATE], ids=lambda p: p.name)
async def test_two_projectors_given_shuffled_and_repeated_deliveries_show_what_is_expected(
    imported: EventLog,
    redis_url: str,
    projection: Projection[Any],
    seed: int,
) -> None:
    await imported.server.client.call("SET", imported.keys.live(0, projection.name), 1)
    chance = random.Random(seed)
    entries = [entry async for chunk in imported.read_entries(0) for entry in chunk]
    deliveries = [Delivery(entry) for entry in entries + chance.choices(entries, k=len(entries))]
    chance.shuffle(deliveries)

    async def project(mine: list[Delivery]) -> None:
        projector = Projector(imported, projection, 0, RetryPolicy())
        await projector.prepare()
        while mine:
            size = chance.choice([1, 7, 100])
            batch = list({one.entry_id: one for one in mine[:size]}.values())
            del mine[:size]
            assert await projector.process(batch) == []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(project, deliveries[::2])
        tasks.start_soon(project, deliveries[1::2])

    assert await states(imported, projection) == await folded_in_order(imported, projection)
    if projection is ROUTE_TABLE:
        assert await listed(imported, redis_url) == expected()
    else:
        assert_health_agrees(await states(imported, HEALTH_STATE))
