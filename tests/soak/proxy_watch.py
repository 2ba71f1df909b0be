"""What a real Traefik that is fed from the log routes by, looked at through its own API."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import aiohttp
import anyio

from events.catalogue.endpoint import EndpointDestroyedEvent
from tests.soak.table_watch import Histories, said_in
from tests.soak.verdict import Documents

Servers = Mapping[UUID, frozenset[str]]
"""The URLs of the servers of each endpoint."""

_LOOK_EVERY_S = 0.1
_PER_PAGE = 10_000
_NAME = "endpoint-"
_ENDED = {"terminating", "terminated", "failed"}


class ProxyWatch:
    """Notes all servers that the proxy has, and what it must not have had.

    Attributes:
        complaints: What it must not have had.
        looks: How often it answered.
    """

    def __init__(self, session: aiohttp.ClientSession, api: str) -> None:
        self.complaints: list[str] = []
        self.looks = 0
        self._session = session
        self._api = api
        self._allowed: tuple[int, ...] = (0,)
        self._seen: Servers = {}
        self._shown: set[tuple[tuple[int, ...], UUID, str]] = set()
        self._gone: set[tuple[tuple[int, ...], UUID]] = set()

    async def run(self) -> None:
        """Look at the proxy all the time until cancelled."""
        while True:
            await self.look()
            await anyio.sleep(_LOOK_EVERY_S)

    @asynccontextmanager
    async def another_history(self) -> AsyncIterator[None]:
        """Let the proxy change over from one history to the next, from within the block on.

        It may be late: its publisher may stand still meanwhile, or be away.
        """
        await self.look()
        self._allowed = (self._allowed[-1], self._allowed[-1] + 1)
        yield

    async def look(self) -> None:
        """Compare what the proxy has with what it had before."""
        url = f"{self._api}/api/http/services?per_page={_PER_PAGE}"
        try:
            async with self._session.get(url) as response:
                self.note(servers_in(await response.json()))
        except (aiohttp.ClientError, TimeoutError):
            self.complaints.append("the proxy's own API does not answer")

    def note(self, servers: Servers) -> None:
        """Take it that the proxy has *servers* now."""
        self.looks += 1
        if self._seen and not servers:
            self.complaints.append(f"the proxy was emptied, it had {len(self._seen)} endpoints")
        self._gone |= {(self._allowed, one) for one in self._seen.keys() - servers.keys()}
        self._shown |= {
            (self._allowed, endpoint_id, url) for endpoint_id, own in servers.items() for url in own
        }
        self._seen = servers

    async def until(self, wanted: Servers) -> None:
        """Wait until the proxy has exactly the *wanted* servers."""
        while self._seen != wanted:  # noqa: ASYNC110 - nobody tells when
            await anyio.sleep(_LOOK_EVERY_S)

    def differing(self, wanted: Servers) -> int:
        """Return of how many endpoints it has other servers than *wanted*."""
        either = self._seen.keys() | wanted.keys()
        return sum(self._seen.get(one) != wanted.get(one) for one in either)

    def judge(self, logs: Sequence[Histories]) -> list[str]:
        """Return what is wrong with all that it had, by the *logs* that were, one by one."""
        addresses = [
            {(endpoint_id, url) for endpoint_id, own in log.items() for url in _urls_in(own)}
            for log in logs
        ]
        for allowed, endpoint_id, url in sorted(self._shown):
            if not any((endpoint_id, url) in addresses[log] for log in allowed):
                self.complaints.append(
                    f"the proxy had {url} for {endpoint_id}, which its history never had"
                )
        for allowed, endpoint_id in sorted(self._gone):
            # Between two histories, what only the older one knew goes.
            if len(allowed) == 1 and not _is_destroyed(logs[allowed[0]].get(endpoint_id, ())):
                self.complaints.append(f"the proxy lost {endpoint_id}, which was never destroyed")
        return self.complaints


def servers_in(services: Sequence[Mapping[str, Any]]) -> Servers:
    """Return the servers of each endpoint in the answer of Traefik's API."""
    found = {}
    for service in services:
        name, _, provider = service["name"].partition("@")
        if provider == "http" and name.startswith(_NAME):
            listed = service.get("loadBalancer", {}).get("servers") or ()
            found[UUID(name.removeprefix(_NAME))] = frozenset(one["url"] for one in listed)
    return found


def servers_wanted(documents: Documents) -> Servers:
    """Return the servers that a proxy has to have by the documents of the route table."""
    return {
        endpoint_id: frozenset(
            f"http://{route['kernel_host']}:{route['kernel_port']}"
            for route in document["routes"]
            if _gets_traffic(route, is_checked=document["health_check"] is not None)
        )
        for endpoint_id, document in documents.items()
        if "destroyed_at" not in document
    }


def _gets_traffic(route: Mapping[str, Any], *, is_checked: bool) -> bool:
    has_address = route["kernel_host"] is not None and route["kernel_port"] is not None
    is_well = not is_checked or route["health"] == "healthy"
    return route["status"] not in _ENDED and has_address and is_well and route["traffic_ratio"] > 0


def _urls_in(history: Sequence[Any]) -> set[str]:
    return {
        f"http://{value[0]}:{value[1]}"
        for (_, register, value), _ in said_in(history)
        if register == "address" and isinstance(value, tuple)
    }


def _is_destroyed(history: Sequence[Any]) -> bool:
    return any(isinstance(recorded.event, EndpointDestroyedEvent) for recorded in history)
