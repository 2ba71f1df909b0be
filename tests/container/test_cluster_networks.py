"""Appends to a cluster in containers, on a network of its own, while it fails.

What was acknowledged on a replica is there, once, whatever happens. With servers in containers, as
in CI, a few faults are tried once. By hand, all of them, and the other tests:
`FAULT_ROUNDS=5 .venv/bin/pytest --log-cli-level INFO tests/container/test_cluster_networks.py`.
"""

import logging
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from events import open_log
from events.log.batch import Durability
from tests.events.support.appenders import Appenders
from tests.support.cluster_faults import (
    Fault,
    cut_off,
    failed_over,
    killed,
    killed_without_its_replica,
    moved,
    paused,
    restarted_in_turn,
)
from tests.support.cluster_servers import ClusterServers, cluster_servers
from tests.support.container_server import CONTAINER, KIND, image_of, server_image
from tests.support.docker_network import (
    DockerNetwork,
    NetworkedServer,
    docker_network,
    skip_without_faketime,
)

LOGGER = logging.getLogger(__name__)
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "0"))
FAULTS: list[Fault] = [
    cut_off,
    killed_without_its_replica,
    killed,
    paused,
    failed_over,
    moved,
    restarted_in_turn,
]
SHORT: list[Fault] = [cut_off, killed_without_its_replica]
PARTITIONS, APPENDERS = 6, 8
ON_A_REPLICA = Durability(replicas=1, timeout_ms=1_000)
AFTER_EACH = 100
"""So many appends are acknowledged before the next fault."""


@pytest.fixture(scope="module")
def network() -> Iterator[DockerNetwork]:
    if not ROUNDS and os.environ.get(KIND) != CONTAINER:
        pytest.skip("with SERVER=container, or by hand with FAULT_ROUNDS")
    # The clock can be set of those alone that are built without jemalloc.
    with docker_network(image_of("valkey-9.1") if ROUNDS else server_image()) as made:
        yield made


@pytest.fixture
def by_hand() -> None:
    if not ROUNDS:
        pytest.skip("by hand with FAULT_ROUNDS")


@pytest.fixture
async def networked(network: DockerNetwork) -> AsyncIterator[ClusterServers]:
    async with cluster_servers("--appendfsync", "always", kind=network) as cluster:
        yield cluster


def url_of(cluster: ClusterServers) -> str:
    addresses = [one.url.removeprefix("redis://") for one in cluster.servers]
    return f"cluster://{','.join(addresses)}"


@pytest.mark.timeout(300 + 300 * ROUNDS)
async def test_what_a_replica_has_is_neither_lost_nor_doubled_while_nodes_fail(
    networked: ClusterServers, namespace: str
) -> None:
    async with open_log(url_of(networked), namespace=namespace, partitions=PARTITIONS) as log:
        appenders = Appenders(log, ON_A_REPLICA)
        async with appenders.running(APPENDERS):
            await appenders.until(AFTER_EACH)
            for fault in FAULTS * ROUNDS or SHORT:
                await fault(networked, log.keys.events(0))
                await appenders.until(AFTER_EACH)
        assert await appenders.faults() == {}
    LOGGER.info(
        "%d acknowledged, %d doubtful, %d refused, at most %.1f s between two of an appender",
        *(len(appenders.acknowledged), len(appenders.doubtful), appenders.refused),
        appenders.longest_s,
    )


@pytest.mark.usefixtures("by_hand")
@pytest.mark.timeout(300)
async def test_appends_survive_a_failover_to_a_node_whose_clock_is_minutes_off(
    networked: ClusterServers, namespace: str
) -> None:
    skip_without_faketime()
    async with open_log(url_of(networked), namespace=namespace) as log:
        key = log.keys.events(0)
        [replica] = await networked.replicas_of(await networked.master_of(key))
        assert isinstance(replica, NetworkedServer)
        replica.set_clock_forward(timedelta(minutes=-5))
        await networked.restart(replica)
        await networked.until_whole()
        appenders = Appenders(log, ON_A_REPLICA)
        async with appenders.running(APPENDERS):
            await appenders.until(AFTER_EACH)
            assert await networked.failover(key) is replica
            await appenders.until(AFTER_EACH)
        assert await appenders.faults() == {}


@pytest.mark.usefixtures("by_hand")
@pytest.mark.timeout(300)
async def test_appends_go_on_over_a_slow_and_lossy_network(
    networked: ClusterServers, namespace: str
) -> None:
    for server in networked.servers:
        assert isinstance(server, NetworkedServer)
        server.slow_down(delay_ms=50, loss_percent=1.0)
    async with open_log(url_of(networked), namespace=namespace) as log:
        appenders = Appenders(log, ON_A_REPLICA)
        async with appenders.running(APPENDERS):
            await appenders.until(AFTER_EACH)
        assert await appenders.faults() == {}
