"""The demo's AppProxy, and requests through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import aiohttp
import msgspec

from consumers.cli.demo.real_proxy import FedProxy, RealProxy
from consumers.processes.appproxy.appproxy_process import AppProxy, appproxy
from consumers.processes.appproxy.configuration import API_SECRET
from consumers.processes.embedded import embedded_server
from projections.read_model.reader import RouteTableReader

ENVIRONMENT = Path(".venv-appproxy-26.9.6")
"""Where `make appproxy` puts the release that the demo runs."""

_ASKED_FOR_EACH = 6
"""Requests for each replica, to see which replicas answer: they are chosen by chance."""


@contextmanager
def fed_appproxy(environment: Path) -> Iterator[FedProxy]:
    """Run the AppProxy of that Python environment during the block.

    Raises:
        NoAppProxyError: There is none, or no PostgreSQL.
        AppProxyFailedError: It does not start.
    """
    with (
        embedded_server() as redis,
        appproxy(environment / "bin" / "python", redis.port) as running,
    ):
        variables = {
            "ROUTESTREAM_PUBLISH_BACKEND_AI_COORDINATOR_URL": running.url,
            "ROUTESTREAM_PUBLISH_BACKEND_AI_TOKEN": API_SECRET,
        }
        yield FedProxy(
            "backend-ai", variables, lambda *given: CircuitProxy(running, *given), is_public=True
        )


class _Worker(msgspec.Struct):
    id: UUID


class _Workers(msgspec.Struct):
    workers: list[_Worker]


class _Circuit(msgspec.Struct):
    endpoint_id: UUID
    port: int


class _Circuits(msgspec.Struct):
    circuits: list[_Circuit]


class CircuitProxy(RealProxy):
    """Sends requests through the ports that an AppProxy worker has for endpoints, its circuits."""

    called = "AppProxy"
    has_weights = False
    has_retries = False

    def __init__(
        self, running: AppProxy, reader: RouteTableReader, session: aiohttp.ClientSession
    ) -> None:
        self._running, self._reader, self._session = running, reader, session
        self._ports: dict[UUID, int] = {}

    async def ask(self, endpoint_id: UUID) -> tuple[int | None, str]:
        """Return status and body of one answer; no status for none."""
        try:
            if endpoint_id not in self._ports:
                self._ports |= await self._circuits()
            url = f"http://127.0.0.1:{self._ports[endpoint_id]}/v1/completions"
            async with self._session.get(url) as response:
                return response.status, await response.text()
        except (aiohttp.ClientError, KeyError):
            return None, ""

    async def is_current(self, endpoint_id: UUID) -> bool:
        """Whether the replicas that answer are those that the reader has."""
        routes = self._reader.routable(endpoint_id)
        if not routes:
            return (await self.ask(endpoint_id))[0] == 503
        answers = await self.send(endpoint_id, _ASKED_FOR_EACH * len(routes))
        return answers.keys() == {route.kernel_port for route in routes}

    async def _circuits(self) -> dict[UUID, int]:
        """Return the port of each endpoint that the coordinator has."""
        url = f"{self._running.url}/api/worker"
        ports: dict[UUID, int] = {}
        for worker in msgspec.json.decode(await self._read(url), type=_Workers).workers:
            read = await self._read(f"{url}/{worker.id}/circuits")
            circuits = msgspec.json.decode(read, type=_Circuits).circuits
            ports |= {one.endpoint_id: one.port for one in circuits}
        return ports

    async def _read(self, url: str) -> bytes:
        headers = {"X-BackendAI-Token": API_SECRET}
        async with self._session.get(url, headers=headers) as response:
            return await response.read()
