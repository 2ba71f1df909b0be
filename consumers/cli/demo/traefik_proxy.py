"""The demo's requests through a real Traefik, those that are counted and those that always run."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import aiohttp
import anyio
import msgspec

from consumers.cli.demo.checks import LOOK_EVERY_S, STEP_TIMEOUT_S
from consumers.processes.embedded import free_port
from consumers.processes.traefik_process import TraefikProcess, traefik_process
from consumers.publishers.table_snapshot import Revision
from consumers.publishers.traefik.traefik_configuration import REVISION_HEADER
from projections.read_model.reader import RouteTableReader

NAME = "demo"
"""How the publisher knows the Traefik."""

CLIENTS = 2
"""Requests that run at the same time."""

_PATH = "/endpoints/{id}"
_PAUSE_S = 0.02


class PolledTraefik(msgspec.Struct, frozen=True):
    """A Traefik that runs, and the settings of the publisher that it polls."""

    process: TraefikProcess
    environment: dict[str, str]


@contextmanager
def polled_traefik() -> Iterator[PolledTraefik]:
    """Run a Traefik during the block.

    Raises:
        NoTraefikError: There is no program, or it does not start.
    """
    port = free_port()
    options = (
        f"--providers.http.endpoint=http://127.0.0.1:{port}/v1/traefik/{NAME}",
        "--providers.http.pollInterval=10ms",
    )
    with traefik_process(*options) as process:
        environment = {
            "ROUTESTREAM_PUBLISH_TRAEFIK_HTTP_PORT": str(port),
            "ROUTESTREAM_PUBLISH_TRAEFIK_HTTP_APIS": f"{NAME}={process.api}",
            "ROUTESTREAM_PUBLISH_TRAEFIK_PATH": _PATH,
        }
        yield PolledTraefik(process, environment)


class TraefikProxy:
    """Sends requests through a Traefik, and knows whether it routes by the reader's table."""

    def __init__(
        self, traefik: TraefikProcess, reader: RouteTableReader, session: aiohttp.ClientSession
    ) -> None:
        self._traefik, self._reader, self._session = traefik, reader, session

    async def send(self, endpoint_id: UUID, requests: int) -> Counter[int | None]:
        """Send *requests* one after another; count the answers by port, failures under None."""
        answers: Counter[int | None] = Counter()
        for _ in range(requests):
            status, text, _ = await self.ask(endpoint_id)
            answers[int(text) if status == 200 else None] += 1
        return answers

    async def until_current(self, endpoint_id: UUID) -> None:
        """Wait until Traefik routes by the state that the reader has of the endpoint."""
        with anyio.move_on_after(STEP_TIMEOUT_S):
            while not await self._is_current(endpoint_id):  # noqa: ASYNC110 - it is another process's state
                await anyio.sleep(LOOK_EVERY_S)

    async def _is_current(self, endpoint_id: UUID) -> bool:
        endpoint = self._reader.endpoint(endpoint_id)
        _, _, revision = await self.ask(endpoint_id)
        if endpoint is None or revision is None:
            return False
        return Revision.parse(revision).shows(0, endpoint.version)

    async def ask(self, endpoint_id: UUID) -> tuple[int | None, str, str | None]:
        """Return status, body and revision of one answer; no status for none."""
        path = _PATH.replace("{id}", str(endpoint_id))
        url = f"{self._traefik.url}{path}/v1/completions"
        try:
            async with self._session.get(url) as response:
                revision = response.headers.get(REVISION_HEADER)
                return response.status, await response.text(), revision
        except aiohttp.ClientError:
            return None, "", None


class RunningRequests:
    """Requests that run all the time.

    Attributes:
        sent: How many have been answered, or failed.
        failed: How many of them failed.
    """

    def __init__(self, proxy: TraefikProxy, *endpoints: UUID) -> None:
        self._proxy, self._endpoints = proxy, endpoints
        self.sent = self.failed = 0

    async def run(self) -> None:
        """Send requests to each of the endpoints in turn, until cancelled."""
        async with anyio.create_task_group() as clients:
            for _ in range(CLIENTS):
                clients.start_soon(self._client)

    async def _client(self) -> None:
        while True:
            for endpoint_id in self._endpoints:
                status, _, _ = await self._proxy.ask(endpoint_id)
                self.sent += 1
                self.failed += status != 200
                await anyio.sleep(_PAUSE_S)
