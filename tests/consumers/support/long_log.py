"""A long log on a server of its own: many entries, some groups, live read models."""

from uuid import UUID

import anyio
import redis

from events import EndpointCreatedEvent, EndpointRouteListUpdatedEvent, RouteRecord, open_log
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
ROUTE = UUID("1b2c3d4e-0000-4000-8000-000000000003")
NAMESPACE = "long"
CHUNK = 20_000

_FILL = """
local fields = {'name', 'model_service_status_updated', 'v', '1', 'source', 'test'}
for n = 1, tonumber(ARGV[1]) do
  local payload = '{"endpoint_id":"' .. ARGV[2] .. '","route_id":"' .. ARGV[3]
    .. '","new_status":"healthy","observed_at":"2026-11-25T06:00:00Z"'
    .. ',"consecutive_failures":' .. n % 10 .. '}'
  redis.call('XADD', KEYS[1], '*', 'payload', payload, 'id', ARGV[4] .. n, unpack(fields))
end
"""


def make_long_log(url: str, entries: int) -> None:
    """Fill a fresh server; the entries are as long as real ones."""
    anyio.run(_begin, url)
    with redis.Redis.from_url(url) as client:
        stream = f"{{{NAMESPACE}:0}}:events"
        for begin in range(0, entries, CHUNK):
            count = min(CHUNK, entries - begin)
            event_id = f"01a21088-2012-70e1-{begin:012d}-"
            client.eval(_FILL, 1, stream, count, str(CHAT), str(ROUTE), event_id)
        for group, start in (("route-table", "$"), ("health-state", "0"), ("late", "0")):
            client.xgroup_create(stream, group, start)
            client.xreadgroup(group, "c-1", {stream: ">"}, count=10_000)
        # Of this one the doctor complains at once, of the others when they have been silent.
        client.xgroup_create(stream, "unread", "0")
        for number in range(1_000):
            client.xadd(f"{{{NAMESPACE}:0}}:other-{number % 50}", {"a": "b"})


async def _begin(url: str) -> None:
    async with open_log(url, namespace=NAMESPACE) as log:
        await log.append(
            EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m"),
            EndpointRouteListUpdatedEvent(
                endpoint_id=CHAT, routes=(RouteRecord(route_id=ROUTE, status="running"),)
            ),
        )
        for projection in (ROUTE_TABLE, HEALTH_STATE):
            await build(log, ReadModelStore(log.server, log.keys, projection, 0))
