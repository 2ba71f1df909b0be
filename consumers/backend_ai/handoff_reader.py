"""Read the hand-off keys of one endpoint at once."""

from collections.abc import Sequence
from uuid import UUID

from events.server.reply import reply
from events.server.server import Server
from producers.backend_ai.handoff_key import HandoffKey, HandoffValues
from producers.backend_ai.route_list import weight_keys


class HandoffReader:
    """Reads the keys that a manager wrote before it recorded that a list changed."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def read(self, endpoint_id: UUID) -> HandoffValues:
        """Return the values of the keys, without those that are missing or have expired."""
        values = await self._get(
            [
                HandoffKey(endpoint_id, "route_connection_info"),
                HandoffKey(endpoint_id, "health_check_enabled"),
                HandoffKey(endpoint_id, "health_check_config"),
            ]
        )
        if weights := weight_keys(endpoint_id, values):
            values |= await self._get(weights)
        return values

    async def _get(self, keys: Sequence[HandoffKey]) -> dict[HandoffKey, bytes]:
        raw = await self._server.client.call("MGET", *map(str, keys))
        found = zip(keys, reply(raw, list[bytes | None]), strict=True)
        return {key: value for key, value in found if value is not None}
