"""Reads Traefik's metrics: of which endpoints requests fail, so that their routes are probed.

Traefik counts for each service, and not for each server: which route it was, a probe finds out.
"""

import re
from collections import Counter
from uuid import UUID

import anyio
from aiohttp import ClientError, ClientSession, ClientTimeout
from anyio.abc import TaskStatus

from consumers.errors import UnreachableProxyError
from consumers.publishers.snapshot_feed import SnapshotFeed
from events.server.url import without_login
from events.structured_logger import structured_logger

_log = structured_logger(__name__)

READ_EVERY_S = 1.0
"""Seconds between two readings of a Traefik's metrics."""

TIMEOUT_S = 3.0
BYTES_MAX = 32 * 1024 * 1024
"""Bytes of metrics that are read of one Traefik."""

_FAILURE = re.compile(
    r"^traefik_service_(?:retries_total\{|requests_total\{code=\"50[24]\",)"
    r"[^}]*service=\"endpoint-(?P<endpoint>[0-9a-f-]{36})@[^\"]*\"[^}]*\}"
    r" (?P<count>[0-9.e+]{1,30})$",
    re.MULTILINE,
)
"""Requests that a service tried again, or ended as 502 or 504: a server took none, or broke off."""


class ServiceCounters:
    """Follows the metrics of one Traefik, and has routes probed whose endpoints' requests fail."""

    def __init__(self, api: str, feed: SnapshotFeed) -> None:
        self._api = api
        self._feed = feed
        self._known: Counter[UUID] | None = None
        self._is_heard = True

    async def run(
        self, session: ClientSession, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Follow until cancelled; a Traefik that tells nothing is told once."""
        task_status.started()
        while True:
            try:
                failures = await read_service_failures(session, self._api)
            except UnreachableProxyError as error:
                if self._is_heard:
                    _log.warning("counters_not_read", why=str(error))
                self._is_heard = False
            else:
                self._is_heard = True
                self._suspect(failures)
            await anyio.sleep(READ_EVERY_S)

    def _suspect(self, failures: Counter[UUID]) -> None:
        """Have the routes probed of endpoints with more *failures* than before."""
        known, self._known = self._known, failures
        newest = self._feed.newest
        if known is None or newest is None:
            return
        for endpoint_id, count in failures.items():
            # A count that fell began anew: the Traefik was started again.
            if count != known[endpoint_id] and endpoint_id in newest.endpoints:
                for route in newest.endpoints[endpoint_id].routes:
                    self._feed.report((endpoint_id, route.route_id), 0, 0)


async def read_service_failures(session: ClientSession, api: str) -> Counter[UUID]:
    """Return how many requests to each endpoint failed, by the metrics of the Traefik at *api*.

    Raises:
        UnreachableProxyError: It does not answer, or its metrics are off.
    """
    shown = without_login(api)
    try:
        async with session.get(
            f"{api}/metrics", timeout=ClientTimeout(total=TIMEOUT_S)
        ) as response:
            if response.status != 200:
                raise UnreachableProxyError(
                    f"{shown}/metrics answers {response.status};"
                    " Traefik has it with --metrics.prometheus=true"
                )
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > BYTES_MAX:
                    raise UnreachableProxyError(f"{shown}/metrics answers without end")
    except (ClientError, OSError, TimeoutError) as error:
        why = str(error) or f"no answer within {TIMEOUT_S:g} s"
        raise UnreachableProxyError(f"{shown}/metrics cannot be reached: {why}") from None
    return service_failures_of(body.decode("utf-8", "replace"))


def service_failures_of(metrics: str) -> Counter[UUID]:
    """Return how many requests to each endpoint failed, by Traefik's *metrics*."""
    failures: Counter[UUID] = Counter()
    for found in _FAILURE.finditer(metrics):
        try:
            failures[UUID(found["endpoint"])] += int(float(found["count"]))
        except (ValueError, OverflowError):
            continue  # it is no service of ours, or no number
    return failures
