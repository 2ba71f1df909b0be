"""Serves the route table to Envoys over HTTP, and holds each request until something changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from weakref import WeakValueDictionary

import anyio
from aiohttp import web
from anyio.abc import TaskStatus

from consumers.publishers.envoy.discovery_request import (
    DiscoveryRequest,
    InvalidDiscoveryRequestError,
    read_request,
)
from consumers.publishers.envoy.envoy_node import Asked, EnvoyState
from consumers.publishers.envoy.envoy_resource import (
    EnvoyAnswer,
    ResourceType,
    digest_in,
    response_of,
)
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.envoy.envoy_table import Changes, EnvoyTable, encode_table
from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.serving import SHUTDOWN_S, ListenPlace, serving
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.publishers.table_snapshot import TableSnapshot
from events.background import in_background

ENVOYS_MAX = 1_000
"""Envoys that one process serves."""

SILENT_S = 10.0
"""Seconds without a request after which an Envoy counts as gone."""

LEFT_S = 600.0
"""Seconds without a request after which an Envoy is no longer missed."""

_BODY_BYTES_MAX = 4 * 1024 * 1024
_LOOKED_EVERY_S = 1.0
_OF_ENVOYS_PATIENCE = 0.8
_TIMEOUT_HEADER = "x-envoy-expected-rq-timeout-ms"


class DiscoveryServer:
    """Answers discovery requests from the newest snapshot of the feed."""

    def __init__(self, feed: SnapshotFeed, ledger: ProxyLedger, settings: EnvoySettings) -> None:
        self._feed, self._ledger, self._settings = feed, ledger, settings
        self._envoys: dict[str, EnvoyState] = {}
        self._table: EnvoyTable | None = None
        self._sequence = 0
        # An Envoy has a request for each endpoint: those that nothing changes for are not woken.
        self._waiting: WeakValueDictionary[Asked, anyio.Event] = WeakValueDictionary()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Note what each Envoy has of each new table, and which are gone, until cancelled."""
        task_status.started()
        while True:
            with anyio.move_on_after(_LOOKED_EVERY_S):
                self._encode(await self._feed.after(self._sequence))
            for node_id, envoy in list(self._envoys.items()):
                silent_s = 0.0 if envoy.asking else monotonic() - envoy.asked_at
                if silent_s > LEFT_S:
                    del self._envoys[node_id]
                    self._ledger.forget(node_id)
                elif silent_s > SILENT_S:
                    envoy.notes.unreachable("it has stopped asking for its configuration")

    async def discover(self, request: web.Request) -> web.Response:
        """Answer one request: with what is new, else 304; 503 before there is a table."""
        kind = ResourceType(request.match_info["kind"])
        try:
            asked = read_request(await request.read())
            envoy = self._envoy(asked.node.id)
        except InvalidDiscoveryRequestError as error:
            return web.Response(status=400, text=f"{error}\n")
        envoy.asking += 1
        try:
            with anyio.move_on_after(self._hold_s(request)):
                answer = await self._new_to(envoy, kind, asked)
                return web.Response(body=response_of(kind, answer), content_type="application/json")
        finally:
            envoy.asking -= 1
            envoy.asked_at = monotonic()
        if self._table is None:
            return web.Response(status=503, text=f"{self._feed.problem}\n")
        return web.Response(status=304)

    def _envoy(self, node_id: str) -> EnvoyState:
        if node_id not in self._envoys:
            if len(self._envoys) >= ENVOYS_MAX:
                raise InvalidDiscoveryRequestError(
                    f"{ENVOYS_MAX} Envoys are served, which is the limit of one process"
                )
            self._envoys[node_id] = EnvoyState(self._ledger.proxy(node_id))
        return self._envoys[node_id]

    def _hold_s(self, request: web.Request) -> float:
        """Return how long the request may be held: not until Envoy gives it up."""
        told = request.headers.get(_TIMEOUT_HEADER, "")
        if not told.isdigit() or len(told) > 9:
            return self._settings.hold_s
        return min(self._settings.hold_s, int(told) / 1_000 * _OF_ENVOYS_PATIENCE)

    async def _new_to(
        self, envoy: EnvoyState, kind: ResourceType, request: DiscoveryRequest
    ) -> EnvoyAnswer:
        """Wait until there is something that the Envoy does not have, and return it."""
        # There is one route configuration, and no other listener or cluster than all of them.
        asked = kind, request.resource_names if kind is ResourceType.ENDPOINTS else ()
        table = self._encode(await self._feed.after(0))
        envoy.asked(asked, request.version_info, table)
        while True:
            changed = self._waiting.setdefault(asked, anyio.Event())
            answer, wait_s = table.answer(*asked), None
            if answer is not None and answer.version.digest != digest_in(request.version_info):
                wait_s = envoy.wait_s(asked, answer)
                if not wait_s:
                    envoy.offered(asked, answer, table)
                    return answer
            with anyio.move_on_after(wait_s):
                await changed.wait()
            table = self._encode(await self._feed.after(0))

    def _encode(self, snapshot: TableSnapshot) -> EnvoyTable:
        """Return the feed's newest *snapshot* as a table, encoded once for all who ask."""
        if self._table is None or self._sequence != self._feed.sequence:
            before, self._sequence = self._table, self._feed.sequence
            self._table = encode_table(snapshot, self._settings, before)
            if before is not None:
                self._tell(self._table, self._table.changes_since(before))
        return self._table

    def _tell(self, table: EnvoyTable, changes: Changes) -> None:
        """Wake the requests that the *changes* are for, and note which Envoys lack them."""
        for asked, changed in list(self._waiting.items()):
            if changes.touch(*asked):
                del self._waiting[asked]
                changed.set()
        for envoy in self._envoys.values():
            envoy.follow(table, changes)


@asynccontextmanager
async def discovery_server(
    feed: SnapshotFeed, ledger: ProxyLedger, settings: EnvoySettings
) -> AsyncIterator[str]:
    """Serve Envoys during the block; yield the URL.

    Raises:
        ListenError: The port cannot be opened.
    """
    server = DiscoveryServer(feed, ledger, settings)
    application = web.Application(client_max_size=_BODY_BYTES_MAX)
    kinds = "|".join(kind.value for kind in ResourceType)
    application.router.add_post(f"/v3/discovery:{{kind:{kinds}}}", server.discover)
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,  # an Envoy that has gone is given nothing
        shutdown_timeout=SHUTDOWN_S,
    )
    place = ListenPlace("publish.envoy.port", settings.port or 0, settings.host)
    async with serving(runner, place) as url, in_background(server.run):
        yield url
