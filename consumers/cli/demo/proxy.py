"""A proxy for the demo, which spreads requests over the reader's routes by weight."""

import random
from collections import Counter
from uuid import UUID

import aiohttp

from projections.read_model.reader import RouteTableReader


class Proxy:
    """A reverse proxy reduced to its one decision: which route gets the next request."""

    def __init__(self, reader: RouteTableReader, session: aiohttp.ClientSession) -> None:
        self._reader = reader
        self._session = session

    async def send(self, endpoint_id: UUID, requests: int) -> Counter[int | None]:
        """Send *requests* one after another; count the answers by port, failures under None."""
        answers: Counter[int | None] = Counter()
        for _ in range(requests):
            answers[await self._forward(endpoint_id)] += 1
        return answers

    async def until_current(self, endpoint_id: UUID) -> None:
        """Return at once: it routes by the reader's table itself."""

    async def _forward(self, endpoint_id: UUID) -> int | None:
        routes = self._reader.routable(endpoint_id)
        if not routes:
            return None
        weights = [route.traffic_ratio for route in routes]
        [route] = random.choices(routes, weights)  # noqa: S311 - spreads load, keeps no secret
        url = f"http://{route.kernel_host}:{route.kernel_port}/v1/completions"
        try:
            async with self._session.get(url) as response:
                return int(await response.text())
        except aiohttp.ClientError:
            return None
