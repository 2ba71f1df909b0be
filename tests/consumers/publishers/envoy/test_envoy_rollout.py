"""A canary, half, all and back, counted at the client of a real Envoy."""

from functools import partial
from pathlib import Path

from consumers.processes.embedded import free_port
from events.log.log import EventLog
from producers.rollout.rollout_decisions import go_back, roll_out
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.publishers.support.endpoint_story import Story
from tests.consumers.publishers.support.model_servers import counting_client, model_servers
from tests.consumers.publishers.support.publisher_process import publisher_process
from tests.consumers.publishers.support.running_envoy import running_envoy, with_envoy
from tests.support.projectors import member
from tests.support.running_consumer import consuming

pytestmark = with_envoy
COUNTED = 200


async def test_shares_of_revisions_are_what_envoy_sends_and_no_request_fails(
    log: EventLog, tmp_path: Path
) -> None:
    discovery_port, port = free_port(), free_port()
    settings = {"ENVOY_PORT": str(discovery_port), "ENVOY_LISTENER_PORT": str(port)}
    async with (
        model_servers("old-1", "old-2", "new") as servers,
        counting_client(f"http://127.0.0.1:{port}") as client,
        consuming(member(log, ROUTE_TABLE)),
        running_envoy(tmp_path, discovery_port, port),
        publisher_process(log, "envoy", settings, tmp_path),
    ):
        story = Story(log, servers, client)
        await story.create({"old-1": "v1", "old-2": "v1", "new": "v2"})
        await story.until("old-1", "old-2", "new")
        for decide, share in (
            (partial(roll_out, to="v2", percents=[5]), 0.05),
            (partial(roll_out, to="v2", percents=[50]), 0.5),
            (partial(roll_out, to="v2", percents=[100]), 1.0),
            (go_back, 0.0),
        ):
            await story.service.record(story.endpoint_id, decide)
            await story.until_acknowledged()
            counted = await client.count("chat", COUNTED)
            assert set(counted) <= {"old-1", "old-2", "new"}
            assert abs(counted["new"] - share * COUNTED) <= 3, counted
            assert abs(counted["old-1"] - counted["old-2"]) <= 3, counted
