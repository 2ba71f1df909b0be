"""The life of an endpoint, counted at the client of a real Envoy."""

from pathlib import Path

from consumers.processes.embedded import EmbeddedServer, free_port
from events.log.log import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.publishers.support.endpoint_story import Story
from tests.consumers.publishers.support.model_servers import (
    counting_client,
    model_servers,
)
from tests.consumers.publishers.support.publisher_process import publisher_process
from tests.consumers.publishers.support.running_envoy import running_envoy, with_envoy
from tests.support.projectors import member, rebuild
from tests.support.running_consumer import consuming

pytestmark = with_envoy


async def test_the_life_of_an_endpoint_behind_envoy(
    own_log: EventLog, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    discovery_port, port = free_port(), free_port()
    settings = {"ENVOY_PORT": str(discovery_port), "ENVOY_LISTENER_PORT": str(port)}
    async with (
        model_servers("a", "b", "c") as servers,
        counting_client(f"http://127.0.0.1:{port}") as client,
        consuming(member(own_log, ROUTE_TABLE)),
        running_envoy(tmp_path, discovery_port, port),
    ):
        story = Story(own_log, servers, client)
        async with publisher_process(own_log, "envoy", settings, tmp_path):
            await story.create()
            await story.until("a", "b", "c")

            await servers[2].stop()
            await story.health("c", "unhealthy")
            await story.until("a", "b")
            await story.until_acknowledged()
            assert set(await client.count("chat", 50)) == {"a", "b"}

            await story.ratio("a", 3)
            await story.until_acknowledged()
            answers = await client.count("chat", 200)
            assert abs(answers["a"] - 150) <= 4
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
        async with publisher_process(own_log, "envoy", settings, tmp_path):
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
