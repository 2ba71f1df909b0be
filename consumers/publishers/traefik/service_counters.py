"""Reads Traefik's metrics: of which endpoints requests fail, so that their routes are probed.

Traefik counts for each service, and not for each server: which route it was, a probe finds out.
"""

import re
from collections import Counter
from uuid import UUID

import anyio
from aiohttp import ClientSession
from anyio.abc import TaskStatus

from consumers.publishers.proxy_counters import follow_counters, read_counters
from consumers.publishers.snapshot_feed import SnapshotFeed
from events.masks import without_login

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

    async def run(
        self, session: ClientSession, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Follow until cancelled; a Traefik that tells nothing is told once."""
        task_status.started()
        await follow_counters(lambda: read_service_failures(session, self._api), self._suspect)

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
    body = await read_counters(
        session,
        f"{api}/metrics",
        f"{without_login(api)}/metrics",
        timeout_s=TIMEOUT_S,
        bytes_max=BYTES_MAX,
        hint="; Traefik has it with --metrics.prometheus=true",
    )
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
