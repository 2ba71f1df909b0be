"""What keeps gradual rollouts moving, on a real log with a real table."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, open_log
from events.catalogue.event import Event
from events.catalogue.traffic_split import Rollout, TrafficSplitUpdatedEvent
from producers.rollout import rollout_keeper
from producers.rollout.health_gate import GateSettings
from producers.rollout.rollout_keeper import RolloutKeeper
from projections.read_model.reader import RouteTableReader, open_reader
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import ROUTES, E, created, listed, record, split
from tests.support.log_lines import captured_lines
from tests.support.projectors import member
from tests.support.running_consumer import consuming
from tests.support.waiting import wait_until

HERE = {"status": "running", "kernel_host": "10.0.0.1", "kernel_port": 30_000}
V1 = record(0, labels={"revision": "v1"}, **HERE)
V2 = record(1, labels={"revision": "v2"}, **HERE)


def canary(*percents: float, every_s: float) -> TrafficSplitUpdatedEvent:
    rollout = Rollout(to="v2", back={"v1": 100.0}, percents=percents, every_s=every_s)
    return split({"v1": 95.0, "v2": 5.0}, rollout)


async def splits(log: EventLog) -> list[dict[str, float]]:
    events: list[Event] = [one.event async for one in log.read()]
    return [one.shares for one in events if isinstance(one, TrafficSplitUpdatedEvent)]


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_keeper, "LOOK_EVERY_S", 0.02)


@asynccontextmanager
async def kept(
    log: EventLog, *, keepers: int = 1, recorded: Counter[str] | None = None
) -> AsyncIterator[RouteTableReader]:
    """Run a projector and so many keepers beside the block; they count what they *recorded*."""
    counts = Counter[str]() if recorded is None else recorded
    settings = GateSettings(requests_min=2)
    async with (
        consuming(member(log, ROUTE_TABLE)),
        open_reader(log) as reader,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(keepers):
            tasks.start_soon(RolloutKeeper(log, reader.endpoints, settings, counts).run)
        yield reader
        tasks.cancel_scope.cancel()


async def test_two_keepers_record_each_step_once(log: EventLog) -> None:
    await log.append(created(), listed(V1, V2), canary(50.0, 75.0, 100.0, every_s=0.05))

    async def is_done() -> bool:
        return (await splits(log))[-1] == {"v2": 100.0}

    recorded = Counter[str]()
    async with kept(log, keepers=2, recorded=recorded) as reader:
        await wait_until(is_done, "all steps are taken")
        await wait_until(lambda: len(reader.routable(E)) == 1, "the table has the last step")
    assert [shares["v2"] for shares in await splits(log)] == [5.0, 50.0, 75.0, 100.0]
    assert recorded == {"traffic_split_updated": 3}


async def test_what_proxies_report_sends_the_traffic_back(log: EventLog) -> None:
    await log.append(created(), listed(V1, V2), canary(100.0, every_s=600))

    async def is_back() -> bool:
        return (await splits(log))[-1] == {"v1": 100.0}

    async with kept(log) as reader:
        await wait_until(lambda: len(reader.routable(E)) == 2, "the canary gets traffic")
        endpoint = reader.endpoint(E)
        assert endpoint is not None
        for _ in range(2):
            reader.report(endpoint.routes[ROUTES[1]], ok=False)
        await wait_until(is_back, "the traffic went back")
    [*_, last] = [one.event async for one in log.read()]
    assert isinstance(last, TrafficSplitUpdatedEvent)
    assert last.reason == "revision v2: 100.0% of 2 requests failed, 0.0% of 0 before"


async def test_a_keeper_goes_on_once_redis_is_back(own_server: EmbeddedServer) -> None:
    async with open_log(own_server.url, namespace="away") as log:
        await log.append(created(), listed(V1, V2), canary(100.0, every_s=2))
        with captured_lines() as lines:
            async with kept(log) as reader:
                await wait_until(lambda: len(reader.routable(E)) == 2, "the canary gets traffic")
                own_server.kill()
                await wait_until(
                    lambda: "rollouts_not_kept" in [line["event"] for line in lines],
                    "the failure is told",
                )
                own_server.start()
                await wait_until(lambda: len(reader.routable(E)) == 1, "the step is taken")
    assert [line["event"] for line in lines].count("rollout_step") == 1
