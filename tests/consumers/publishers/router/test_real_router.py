"""A real router has the workers that the table says, and no others."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from consumers.publishers.proxy_ledger import ProxyLedger, ProxyState, open_ledger
from consumers.publishers.router.router_publisher import ROUTER
from consumers.publishers.router.router_settings import RouterSettings
from consumers.publishers.settings import PublishSettings
from consumers.settings import Settings
from events.background import in_background
from events.log.log import EventLog
from tests.consumers.publishers.support.model_servers import NamedServer, model_servers
from tests.consumers.publishers.support.put_feed import PutFeed, endpoint_of, route_of, snapshot_at
from tests.consumers.publishers.support.running_router import (
    ROUTERS,
    RunningRouter,
    running_router,
)
from tests.support.waiting import wait_until


class Fed:
    """A router that is fed with what the test puts there, and two model servers."""

    feed: PutFeed
    ledger: ProxyLedger
    router: RunningRouter
    first: NamedServer
    second: NamedServer

    @property
    def state(self) -> ProxyState:
        return self.ledger.proxy(self.router.url).state

    def put(self, *weights: float, at: int) -> None:
        servers = zip((self.first, self.second), weights, strict=False)
        routes = [
            route_of(number, server.port, traffic_ratio=weight)
            for number, (server, weight) in enumerate(servers)
        ]
        other = endpoint_of("other")
        self.feed.put(snapshot_at(endpoint_of("chat", *routes, at=at), other))

    async def until_acknowledged(self, at: int) -> None:
        await wait_until(lambda: self.state.acknowledged == f"{at}-0", f"{at}-0 is there", 30.0)


@pytest.fixture(params=ROUTERS)
async def fed(log: EventLog, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Fed]:
    made = Fed()
    made.feed = PutFeed()
    async with (
        open_ledger(log, "router") as made.ledger,
        running_router(tmp_path, request.param) as made.router,
        model_servers("first", "second") as (made.first, made.second),
    ):
        chosen = RouterSettings(routers=(f"chat={made.router.url}",), poll_s=0.2, add_s=1.0)
        settings = Settings(publish=PublishSettings(router=chosen))

        async def publish(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            task_status.started()
            await ROUTER.publish(made.feed, made.ledger, settings)

        async with in_background(publish):
            yield made


async def test_a_router_has_the_routes_that_get_traffic(fed: Fed) -> None:
    fed.put(1, 1, at=1)
    await fed.router.until_workers(fed.first.url, fed.second.url)
    await fed.until_acknowledged(1)

    fed.put(1, 0, at=2)
    await fed.until_acknowledged(2)

    assert await fed.router.workers() == {fed.first.url}
    assert fed.state.refused == 0


async def test_no_route_means_no_worker(fed: Fed) -> None:
    fed.put(1, at=1)
    await fed.until_acknowledged(1)
    fed.put(at=2)
    await fed.until_acknowledged(2)

    assert await fed.router.workers() == set()


async def test_a_router_that_was_restarted_is_filled_again(fed: Fed) -> None:
    fed.put(1, 1, at=1)
    await fed.until_acknowledged(1)

    fed.router.kill()
    await wait_until(lambda: fed.state.problem is not None, "it is said to be unreachable", 30.0)
    await fed.router.start()

    await fed.router.until_workers(fed.first.url, fed.second.url)
    await wait_until(lambda: fed.state.problem is None, "it is reachable again", 30.0)


async def test_what_others_changed_is_changed_back(fed: Fed) -> None:
    fed.put(1, at=1)
    await fed.until_acknowledged(1)

    await fed.router.add(fed.second.url)

    await fed.router.until_workers(fed.first.url)


async def test_a_worker_that_does_not_answer_holds_nothing_up(fed: Fed) -> None:
    fed.first.hangs = anyio.Event()
    fed.put(1, 1, at=1)
    await fed.router.until_workers(fed.second.url)

    def is_named() -> bool:
        return any(one.subject == fed.first.url for one in fed.state.refusals)

    await wait_until(is_named, "the worker that is not added is named", 30.0)
    assert fed.state.acknowledged is None
    fed.put(1, 0, at=2)
    await fed.router.until_workers()  # while the other one is still being added
    fed.first.hangs.set()

    await fed.router.until_workers(fed.first.url)
    await fed.until_acknowledged(2)


async def test_weights_that_cannot_be_expressed_are_said(fed: Fed) -> None:
    fed.put(3, 1, at=1)
    await fed.until_acknowledged(1)

    [refusal] = fed.state.refusals
    assert refusal.subject == "chat"
    assert "ratios from 1 to 3 cannot be expressed" in refusal.why


async def test_the_workers_of_a_destroyed_endpoint_are_removed(fed: Fed) -> None:
    fed.put(1, at=1)
    await fed.until_acknowledged(1)

    fed.feed.put(snapshot_at(endpoint_of("other", at=2)))

    await fed.router.until_workers()


async def test_for_an_endpoint_that_was_never_there_nothing_is_removed(fed: Fed) -> None:
    await fed.router.add(fed.first.url)
    await fed.router.until_workers(fed.first.url)
    fed.feed.put(snapshot_at(endpoint_of("other")))

    await wait_until(lambda: fed.state.problem is not None, "it is said", 30.0)

    assert "no endpoint chat; the workers are left as they are" in str(fed.state.problem)
    assert await fed.router.workers() == {fed.first.url}
