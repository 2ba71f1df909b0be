"""Processes that share a handler group come, go and die at random: the work goes on, in order."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import pytest

from consumers.membership.partition_spread import spread
from consumers.processes.registry import read_processes
from events import EventLog, open_log
from events.catalogue.route import RouteTrafficRatioUpdatedEvent
from events.server.server import now_of
from tests.consumers.support.sharing_process import (
    AUDIT,
    SETTINGS,
    Effect,
    SharingProcesses,
    sharing_processes,
)
from tests.support.waiting import wait_until

PARTITIONS = 4
_ENDPOINTS = 12
_STEPS = 6
_AHEAD_MAX = 1_000
_DEADLINE_S = 120.0


@pytest.fixture
async def wide_log(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, partitions=PARTITIONS) as opened:
        yield opened


async def owners(log: EventLog) -> dict[int, str]:
    """Return who has the lease of each partition that somebody has."""
    found = {}
    for partition in range(log.partitions):
        held = await log.server.client.call("GET", log.keys.lease(partition, AUDIT))
        if isinstance(held, bytes):
            found[partition] = held.decode().partition(" ")[2].rpartition("#")[0]
    return found


async def until_spread(log: EventLog, count: int) -> None:
    """Return when *count* processes live, and each partition is where it belongs."""

    async def is_spread() -> bool:
        now_s = (await now_of(log.server)).timestamp()
        known = await read_processes(log.server.client.call, log.keys, now_s)
        # One that was killed is known until another takes its place.
        names = {one.name for one in known if (Path("/proc") / str(one.facts.pid)).exists()}
        return len(names) == count and await owners(log) == spread(PARTITIONS, names)

    await wait_until(is_spread, f"{count} share the partitions", timeout_s=_DEADLINE_S)


def begun(effects: list[Effect]) -> dict[UUID, list[int]]:
    found: dict[UUID, list[int]] = {}
    for effect in effects:
        if effect.what == "begun":
            found.setdefault(effect.endpoint_id, []).append(effect.number)
    return found


def ended(effects: list[Effect]) -> Counter[UUID]:
    """Return how many events of each endpoint were handled, each counted once."""
    return Counter(
        endpoint_id
        for endpoint_id, _ in {
            (one.endpoint_id, one.number) for one in effects if one.what == "ended"
        }
    )


async def _append_until(
    stop: anyio.Event, log: EventLog, appended: Counter[UUID], processes: SharingProcesses
) -> None:
    def keep_up() -> bool:
        return appended.total() < len(processes.effects()) // 2 + _AHEAD_MAX

    endpoints = [uuid4() for _ in range(_ENDPOINTS)]
    while not stop.is_set():
        events = []
        for endpoint_id in endpoints:
            appended[endpoint_id] += 1
            events.append(
                RouteTrafficRatioUpdatedEvent(
                    endpoint_id=endpoint_id,
                    route_id=endpoint_id,
                    traffic_ratio=float(appended[endpoint_id]),
                )
            )
        await log.append(*events)
        await wait_until(keep_up, "the group keeps up", _DEADLINE_S)
        with anyio.move_on_after(0.05):
            await stop.wait()


async def _disturb(processes: SharingProcesses, choice: random.Random) -> int:
    """Let processes come, go and die; return how many died."""
    kills = 0
    for _ in range(_STEPS):
        what = choice.choice(("join", "leave", "kill")) if len(processes.running) > 1 else "join"
        if what == "join":
            await processes.start()
        else:
            ended = processes.running.pop(choice.randrange(len(processes.running)))
            kills += what == "kill"
            await (ended.kill() if what == "kill" else ended.stop())
        # Sometimes the next one comes while the group still reacts to this one.
        if choice.random() < 0.5:
            await _until_more(processes, len(processes.effects()))
    return kills


async def _until_more(processes: SharingProcesses, done: int) -> None:
    await wait_until(
        lambda: len(processes.effects()) > done + 4 * _ENDPOINTS, "it goes on", _DEADLINE_S
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [3])
async def test_order_is_kept_and_nothing_is_lost_while_members_come_go_and_die(
    wide_log: EventLog, tmp_path: Path, seed: int
) -> None:
    appended: Counter[UUID] = Counter()
    stop = anyio.Event()
    async with sharing_processes(wide_log, tmp_path) as processes:
        await processes.start()
        await processes.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_append_until, stop, wide_log, appended, processes)
            kills = await _disturb(processes, random.Random(seed))
            stop.set()
        await wait_until(
            lambda: ended(processes.effects()) == appended, "all are handled", _DEADLINE_S
        )
        await until_spread(wide_log, len(processes.running))
        found = begun(processes.effects())
    assert found.keys() == appended.keys()
    repeats = 0
    for endpoint_id, numbers in found.items():
        assert sorted(set(numbers)) == list(range(1, appended[endpoint_id] + 1))
        # The next one, or the last one once more: never an earlier one, and none left out.
        steps = Counter(after - before for before, after in pairwise(numbers))
        assert steps.keys() <= {0, 1}, (endpoint_id, numbers)
        repeats += steps[0]
    assert repeats <= kills * PARTITIONS * SETTINGS.concurrency
