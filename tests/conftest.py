"""What the tests stand on: real servers, started here and gone at the end."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from anyio.from_thread import start_blocking_portal

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, open_log
from tests.support.cluster_servers import ClusterServers, cluster_servers
from tests.support.given_server import chosen_or_given_server, chosen_server, server_kind
from tests.support.sentinel_servers import SentinelServers, sentinel_servers
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

PATIENCE_MS = 10_000
"""No server that runs goes without an answer for so long, however busy the machine is."""

pytest_plugins = ("tests.support.chosen_server", "tests.support.without_server")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def any_metrics_port() -> Iterator[None]:
    """Let the processes that tests start serve their metrics side by side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUTESTREAM_METRICS_PORT", "0")
        yield


@pytest.fixture(scope="session")
def shared_server() -> Iterator[EmbeddedServer]:
    """One server for all tests that do no harm to it."""
    with chosen_or_given_server() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A server for a test that kills, stops or breaks it, and loses nothing that it replied to.

    With `everysec` a write may wait for a second behind a slow disk, and is lost with the process.
    """
    with chosen_server("--appendfsync", "always") as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterServers]:
    """One cluster for all tests that do no harm to it; nothing is taken for failed in it."""
    with start_blocking_portal() as portal:
        patient = cluster_servers(node_timeout_ms=15_000, kind=server_kind())
        with portal.wrap_async_context_manager(patient) as servers:
            yield servers


@pytest.fixture
async def own_cluster() -> AsyncIterator[ClusterServers]:
    """A cluster for a test that breaks it; its nodes lose nothing that they replied to."""
    async with cluster_servers("--appendfsync", "always", kind=server_kind()) as servers:
        yield servers


@pytest.fixture
async def patient_cluster() -> AsyncIterator[ClusterServers]:
    """A cluster for a test that changes it, in which a node is only replaced if the test does it.

    A killed one is, too, but that takes some fifteen seconds.
    """
    patient = cluster_servers(
        "--appendfsync", "always", node_timeout_ms=PATIENCE_MS, kind=server_kind()
    )
    async with patient as servers:
        yield servers


@pytest.fixture
async def own_sentinels() -> AsyncIterator[SentinelServers]:
    """A master, two replicas and three sentinels, for a test that breaks them."""
    async with sentinel_servers("--appendfsync", "always", kind=server_kind()) as servers:
        yield servers


@pytest.fixture
async def patient_sentinels() -> AsyncIterator[SentinelServers]:
    """The same, for a test in which the master stays, or is only replaced as planned."""
    patient = sentinel_servers(
        "--appendfsync", "always", down_after_ms=PATIENCE_MS, kind=server_kind()
    )
    async with patient as servers:
        yield servers


@pytest.fixture
def redis_url(shared_server: EmbeddedServer) -> str:
    return shared_server.url


@pytest.fixture
def namespace() -> str:
    """A deployment of its own: tests that share a server do not see each other."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
async def log(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, source="test") as opened:
        yield opened


@pytest.fixture
async def waitaof(log: EventLog) -> None:
    """For tests that wait for the disk."""
    if not await log.server.can_wait_for_fsync():
        pytest.skip("the server that was found has no WAITAOF: Redis 7.2 or Valkey 8 has")


@pytest.fixture
async def own_log(own_server: EmbeddedServer, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(own_server.url, namespace=namespace, source="test") as opened:
        yield opened


@pytest.fixture
async def proxy(shared_server: EmbeddedServer) -> AsyncIterator[TcpProxy]:
    """A way to the shared server on which a test loses or holds back what passes."""
    async with tcp_proxy(shared_server.port) as opened:
        yield opened
