"""Whatever the table holds, the real Traefik takes what is made of it, and the two ways agree."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.processes.traefik_process import TraefikProcess
from consumers.publishers.proxy_ledger import ProxyNotes, ProxyState
from consumers.publishers.table_snapshot import TableSnapshot
from consumers.publishers.traefik.http_document import http_document
from consumers.publishers.traefik.key_store import KeyStore
from consumers.publishers.traefik.stored_configuration import StoredConfiguration
from consumers.publishers.traefik.traefik_api import applied_revision
from consumers.publishers.traefik.traefik_configuration import traefik_configuration
from consumers.publishers.traefik.traefik_settings import TraefikSettings
from events.entry.entry_id import EntryId
from events.server.server import Server
from events.server.settings import ServerSettings
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from tests.consumers.publishers.support.traefik_dialects import Dialect
from tests.consumers.publishers.support.traefik_world import endpoint, snapshot
from tests.support.laws import examples
from tests.support.waiting import wait_until

HOSTS = st.one_of(
    st.sampled_from(
        ["10.0.0.1", "a.example", "fd00::1", "a_b", "fe80::1%x", "a`b", "a b", "-", ""]
    ),
    st.text(max_size=20),
)
NAMES = st.one_of(
    st.none(), st.sampled_from(["chat", "a.b", "x_y", "É", "`"]), st.text(max_size=70)
)
RATIOS = st.one_of(st.sampled_from([0.25, 1.0, 1e-300]), st.floats(0, 1_000_000, exclude_min=True))
ROUTES = st.builds(
    Route,
    route_id=st.uuids(),
    session_id=st.none(),
    app=st.just(""),
    kernel_host=HOSTS,
    kernel_port=st.integers(-1, 70_000),
    protocol=st.sampled_from(["http", "h2", "grpc", "tcp", "preopen"]),
    traffic_ratio=RATIOS,
    status=st.just("running"),
    health=st.just("not_checked"),
    listed_at=st.just(EntryId(1, 1)),
)
LABELS = st.dictionaries(
    st.sampled_from(["host", "path", "other"]),
    st.one_of(st.sampled_from(["a.example,b.example", "/v2", "/a/../b", "`", ""]), st.text()),
    max_size=2,
)
ENDPOINTS = st.lists(
    st.tuples(NAMES, LABELS, st.booleans(), st.lists(ROUTES, max_size=12)), max_size=5
)
SETTINGS = st.sampled_from(
    [
        TraefikSettings(default_certificate=False),
        TraefikSettings(default_certificate=False, domain="models.example", entry_points=("web",)),
        TraefikSettings(default_certificate=False, path="/models/{name}", attempts=1),
    ]
)


class Feeding:
    """Gives one Traefik a table in one of the two ways."""

    def __init__(self, server: Server | None) -> None:
        self.body = b""
        self._number = 0
        self._store = None if server is None else KeyStore(server, "traefik")

    def table_of(self, drawn: list[Any]) -> TableSnapshot:
        """Return a table of a revision that no other has."""
        self._number += 1
        newest = EntryId(10, self._number)
        endpoints = [
            endpoint(n, *routes, version=newest, name=name, labels=labels, open_to_public=public)
            for n, (name, labels, public, routes) in enumerate(drawn)
        ]
        gone = Endpoint(endpoint_id=UUID(int=999), version=newest, destroyed_at=newest)
        return snapshot(*endpoints, gone)

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.body, status=200 if self.body else 503)

    async def give(self, table: TableSnapshot, traefik: TraefikSettings) -> None:
        if self._store is None:
            self.body = http_document(traefik_configuration(table, traefik), traefik)
            return
        notes = ProxyNotes(ProxyState(publisher="traefik-redis", proxy="keys"), lambda _: None)
        stored = StoredConfiguration(self._store, traefik, notes, ())
        await stored.publish(table, whole=True)


@pytest.fixture
async def fed(dialect: Dialect) -> AsyncIterator[Feeding]:
    server = None
    if dialect.keys is not None:
        server = Server(ServerSettings(url=dialect.settings.publish.traefik_redis.url))
    made = Feeding(server)
    application = web.Application()
    application.router.add_get("/v1/traefik/{proxy}", made.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    if server is None:
        port = dialect.settings.publish.traefik_http.port
        await web.TCPSite(runner, "127.0.0.1", port).start()
    yield made
    await runner.cleanup()
    if server is not None:
        await server.aclose()


class Api:
    """What one Traefik says that it has."""

    def __init__(
        self, session: aiohttp.ClientSession, traefik: TraefikProcess, provider: str
    ) -> None:
        self._session, self._url, self.provider = session, traefik.api, provider

    async def until_applied(self, revision: str) -> None:
        async def is_applied() -> bool:
            return await applied_revision(self._session, self._url, self.provider) == revision

        await wait_until(is_applied, f"Traefik has {revision}", 30.0)

    async def listed(self, what: str) -> dict[str, Any]:
        """Return its routers or services from our provider, by name."""
        async with self._session.get(f"{self._url}/api/http/{what}?per_page=1000") as response:
            every = await response.json()
        return {one["name"]: one for one in every if one["provider"] == self.provider}


@pytest.fixture
async def api(dialect: Dialect, traefik: TraefikProcess) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(session, traefik, dialect.provider)


@pytest.mark.timeout(300)
@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(drawn=ENDPOINTS, traefik_settings=SETTINGS)
async def test_whatever_the_table_holds_traefik_takes_all_that_is_made_of_it(
    fed: Feeding, api: Api, drawn: list[Any], traefik_settings: TraefikSettings
) -> None:
    table = fed.table_of(drawn)
    made = traefik_configuration(table, traefik_settings)
    await fed.give(table, traefik_settings)
    await api.until_applied(made.revision)
    services = {f"{service.name}@{api.provider}": service for service in made.services}
    for what in ("routers", "services"):
        found = await api.listed(what)
        assert found.keys() == services.keys()
        assert [one for one in found.values() if one["status"] != "enabled"] == []
    for name, one in (await api.listed("services")).items():
        weights = {
            server["url"]: server.get("weight", 1)
            for server in one["loadBalancer"].get("servers") or ()
            if server.get("weight") != 0
        }
        assert weights == {server.url: server.weight for server in services[name].servers}
