"""The life of an endpoint, counted at the client of a real vllm-router."""

from pathlib import Path

from consumers.processes.embedded import EmbeddedServer
from events.log.log import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.publishers.support.endpoint_story import Story
from tests.consumers.publishers.support.model_servers import (
    counting_client,
    model_servers,
)
from tests.consumers.publishers.support.publisher_process import publisher_process
from tests.consumers.publishers.support.running_router import running_router
from tests.support.projectors import member, rebuild
from tests.support.running_consumer import consuming


async def test_the_life_of_an_endpoint_behind_a_router(
    own_log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    async with (
        model_servers("a", "b", "c") as servers,
        running_router(tmp_path, "vllm-router") as router,
        counting_client(router.url) as client,
        consuming(member(own_log, ROUTE_TABLE)),
    ):
        story = Story(own_log, servers, client)
        settings = {"ROUTER_ROUTERS": f"chat={router.url}"}
        async with publisher_process(own_log, "router", settings, tmp_path):
            await story.create()
            await story.until("a", "b", "c")

            await servers[2].stop()
            await story.health("c", "unhealthy")
            await story.until("a", "b")
            await story.until_acknowledged()
            assert set(await client.count("chat", 50)) == {"a", "b"}

            answers = await client.count("chat", 100)
            assert abs(answers["a"] - answers["b"]) <= 2

            await story.service.terminate_route(story.endpoint_id, story.routes["a"])
            await story.until("b")

            await story.ratio("b", 0)
            await story.until("503")
            await story.ratio("b", 1)
            await story.until("b")

        assert set(await client.count("chat", 20)) == {"b"}  # nobody publishes
        await servers[2].start()
        await story.health("c", "healthy")
        async with publisher_process(own_log, "router", settings, tmp_path):
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
