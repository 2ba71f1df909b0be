"""The demo's Traefik, and requests through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import aiohttp

from consumers.cli.demo.real_proxy import FedProxy, RealProxy
from consumers.processes.embedded import free_port
from consumers.processes.traefik_process import TraefikProcess, traefik_process
from consumers.publishers.table_snapshot import Revision
from consumers.publishers.traefik.traefik_configuration import REVISION_HEADER
from events.log.keys import partition_of
from projections.read_model.reader import RouteTableReader

NAME = "demo"
"""How the publisher knows the Traefik."""

_PATH = "/endpoints/{id}"


@contextmanager
def polled_traefik() -> Iterator[FedProxy]:
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
        yield FedProxy("traefik-http", environment, lambda *given: TraefikProxy(process, *given))


class TraefikProxy(RealProxy):
    """Sends requests through a Traefik, and knows whether it routes by the reader's table."""

    called = "Traefik"

    def __init__(
        self, traefik: TraefikProcess, reader: RouteTableReader, session: aiohttp.ClientSession
    ) -> None:
        self._traefik, self._reader, self._session = traefik, reader, session

    async def is_current(self, endpoint_id: UUID) -> bool:
        """Whether it says that it routes by what the reader has, or newer."""
        endpoint = self._reader.endpoint(endpoint_id)
        _, _, revision = await self._ask(endpoint_id)
        if endpoint is None or revision is None:
            return False
        shown = Revision.parse(revision)
        return shown.shows(partition_of(endpoint_id, len(shown.newest)), endpoint.version)

    async def ask(self, endpoint_id: UUID) -> tuple[int | None, str]:
        """Return status and body of one answer; no status for none."""
        status, text, _ = await self._ask(endpoint_id)
        return status, text

    async def _ask(self, endpoint_id: UUID) -> tuple[int | None, str, str | None]:
        path = _PATH.replace("{id}", str(endpoint_id))
        url = f"{self._traefik.url}{path}/v1/completions"
        try:
            async with self._session.get(url) as response:
                revision = response.headers.get(REVISION_HEADER)
                return response.status, await response.text(), revision
        except aiohttp.ClientError:
            return None, "", None
