"""The life of an endpoint, counted at the client of real proxies of several kinds."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from consumers.processes.embedded import EmbeddedServer, free_port
from events.log.log import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.publishers.support.endpoint_story import Story
from tests.consumers.publishers.support.model_servers import counting_client, model_servers
from tests.consumers.publishers.support.publisher_process import publisher_process
from tests.consumers.publishers.support.running_envoy import envoy_or_skip, running_envoy
from tests.consumers.publishers.support.running_router import ROUTERS, running_router
from tests.support.projectors import member, rebuild
from tests.support.running_consumer import consuming


class StoryProxy(msgspec.Struct, frozen=True):
    """A proxy that runs: where it answers, its publisher, and the variables of that."""

    url: str
    publisher: str
    settings: dict[str, str]
    has_weights: bool


@asynccontextmanager
async def envoy(folder: Path) -> AsyncIterator[StoryProxy]:
    envoy_or_skip()
    discovery_port, port = free_port(), free_port()
    settings = {"ENVOY_PORT": str(discovery_port), "ENVOY_LISTENER_PORT": str(port)}
    async with running_envoy(folder, discovery_port, port):
        yield StoryProxy(f"http://127.0.0.1:{port}", "envoy", settings, has_weights=True)


@asynccontextmanager
async def router(folder: Path, name: str) -> AsyncIterator[StoryProxy]:
    async with running_router(folder, name) as started:
        settings = {"ROUTER_ROUTERS": f"chat={started.url}"}
        yield StoryProxy(started.url, "router", settings, has_weights=False)


Run = Callable[[Path], AbstractAsyncContextManager[StoryProxy]]
PROXIES: dict[str, Run] = {
    "envoy": envoy,
    **{name: partial(router, name=name) for name in ROUTERS},
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("run", PROXIES.values(), ids=PROXIES)
async def test_an_endpoint_lives_through_all_that_can_happen_to_it(
    own_log: EventLog, own_server: EmbeddedServer, tmp_path: Path, run: Run
) -> None:
    async with (
        model_servers("a", "b", "c") as servers,
        run(tmp_path) as proxy,
        counting_client(proxy.url) as client,
        consuming(member(own_log, ROUTE_TABLE)),
    ):
        story = Story(own_log, servers, client)
        publishing = partial(publisher_process, own_log, proxy.publisher, proxy.settings, tmp_path)
        async with publishing():
            await story.create()
            await story.until("a", "b", "c")

            await servers[2].stop()
            await story.health("c", "unhealthy")
            await story.until("a", "b")
            await story.until_acknowledged()
            assert set(await client.count("chat", 50)) == {"a", "b"}

            share = 0.5
            if proxy.has_weights:
                share = 0.75
                await story.ratio("a", 3)
                await story.until_acknowledged()
            answers = await client.count("chat", 200)
            assert abs(answers["a"] - 200 * share) <= 4
            assert answers["a"] + answers["b"] == 200

            await story.service.terminate_route(story.endpoint_id, story.routes["a"])
            await story.until("b")

            await story.ratio("b", 0)
            await story.until("503")
            await story.ratio("b", 1)
            await story.until("b")

        assert set(await client.count("chat", 20)) == {"b"}  # nobody publishes
        await servers[2].start()
        await story.health("c", "healthy")
        async with publishing():
            await story.until("b", "c")

            own_server.kill()
            assert set(await client.count("chat", 50)) == {"b", "c"}
            own_server.start()
            await story.health("b", "unhealthy")
            await story.until("c")

            await rebuild(own_log)
            await story.health("b", "healthy")
            await story.until("b", "c")
            await story.until_acknowledged()
