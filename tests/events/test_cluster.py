"""A log on a Redis Cluster: its partitions on several nodes, and the nodes changing under load."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import pytest
from msgspec.structs import replace

from events import START, Durability, EventLog, open_log
from events.errors import NotDurableError, ServerUnavailableError
from events.log.keys import partition_of
from events.server.cluster import ClusterPlaces, slot_ranges
from events.server.places import ServerPlace
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.events.support.appenders import Appenders
from tests.support.cluster_servers import ClusterServers, slot_of
from tests.support.histories import created
from tests.support.server_set import ask
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

PARTITIONS = 6
ON_A_REPLICA = Durability(replicas=1, timeout_ms=10_000)


@asynccontextmanager
async def opened(
    cluster: ClusterServers, namespace: str, *, timeout_s: float = 2.0
) -> AsyncIterator[EventLog]:
    settings = ServerSettings(url=cluster.url, timeout_s=timeout_s)
    async with open_log(settings, namespace=namespace, partitions=PARTITIONS) as log:
        yield log


@pytest.fixture
async def spread(cluster: ClusterServers, namespace: str) -> AsyncIterator[EventLog]:
    """A log of six partitions on a cluster that nothing is done to."""
    async with opened(cluster, namespace) as log:
        yield log


@pytest.fixture
async def own_spread(own_cluster: ClusterServers, namespace: str) -> AsyncIterator[EventLog]:
    """A log of six partitions on a cluster that the test breaks."""
    async with opened(own_cluster, namespace) as log:
        yield log


@pytest.fixture
async def patient_spread(
    patient_cluster: ClusterServers, namespace: str
) -> AsyncIterator[EventLog]:
    """A log of six partitions on a cluster that the test changes as planned."""
    async with opened(patient_cluster, namespace, timeout_s=20.0) as log:
        yield log


async def test_a_log_lies_on_several_nodes_and_is_read_as_one(spread: EventLog) -> None:
    endpoints = [uuid4() for _ in range(40)]
    appended = {one: await spread.append(replace(created(), endpoint_id=one)) for one in endpoints}
    nodes = {(await spread.server.at(spread.keys.events(p))).place for p in range(PARTITIONS)}
    assert len(nodes) > 1
    read = {one.endpoint_id: one.entry_id async for one in spread.read()}
    assert read == {one: told.entry_ids[0] for one, told in appended.items()}


async def test_a_follower_waits_for_all_nodes_at_once(spread: EventLog) -> None:
    got: list[int] = []

    async def follow() -> None:
        async for recorded in spread.follow(START):
            got.append(recorded.partition)  # noqa: PERF401 - it never ends

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        for count in range(1, 31):
            endpoint_id = uuid4()
            await spread.append(replace(created(), endpoint_id=endpoint_id))
            await wait_until(lambda: len(got) == count, f"{count} followed", 60)  # noqa: B023
            assert got[-1] == partition_of(endpoint_id, PARTITIONS)
        tasks.cancel_scope.cancel()
    assert len(set(got)) == PARTITIONS


async def test_a_command_without_a_key_says_which_servers_it_is_for(spread: EventLog) -> None:
    with pytest.raises(ValueError, match=r"TIME has no key: it is to be sent by Server\.at"):
        await spread.server.client.call("TIME")
    told = [await node.told("server") for node in await spread.server.each()]
    assert len({str(one["run_id"]) for one in told}) == 3


async def test_a_killed_master_loses_nothing_that_its_replica_had(
    own_cluster: ClusterServers, own_spread: EventLog
) -> None:
    appenders = Appenders(own_spread, ON_A_REPLICA)
    key = own_spread.keys.events(0)
    async with appenders.running():
        await appenders.until(200)
        master = await own_cluster.master_of(key)
        own_cluster.kill(master)
        await own_cluster.until_promoted(key, master)
        await own_cluster.restart(master)  # as the replica that appends wait for
        await appenders.until(200)
    assert await appenders.faults() == {}


async def test_what_a_held_back_replica_did_not_have_is_lost_unless_it_was_waited_for(
    own_cluster: ClusterServers, own_spread: EventLog
) -> None:
    """The replica stands still, its link is cut: what its master takes then, it will not have."""
    key, partition = own_spread.keys.events(0), 0
    safe = Appenders(own_spread, ON_A_REPLICA)
    async with safe.running(4):
        await safe.until(50)
    master = await own_cluster.master_of(key)
    [replica] = await own_cluster.replicas_of(master)
    # However long the appends take: it is not too old to be promoted.
    await ask(replica, "CONFIG", "SET", "cluster-replica-validity-factor", "0")
    own_cluster.pause(replica)
    await ask(master, "CLIENT", "KILL", "TYPE", "replica")
    impatient = Durability(replicas=1, timeout_ms=200)
    endpoint = next(one for one in iter(uuid4, None) if partition_of(one, PARTITIONS) == partition)
    event = replace(created(), endpoint_id=endpoint)
    with pytest.raises(NotDurableError, match="replicas are 0"):
        await own_spread.append(event, durability=impatient)
    risky = {(await own_spread.append(event)).entry_ids[0] for _ in range(30)}
    own_cluster.kill(master)
    own_cluster.resume(replica)
    await own_cluster.until_promoted(key, master)
    await own_cluster.until_whole()
    assert await safe.faults() == {}
    # Unless something went with the master, the test shows nothing.
    assert not risky & {one.entry_id async for one in own_spread.read()}


async def test_slots_move_under_load_and_nothing_is_lost_or_doubled(
    patient_cluster: ClusterServers, patient_spread: EventLog
) -> None:
    appenders = Appenders(patient_spread)
    async with appenders.running():
        await appenders.until(100)
        for partition in range(PARTITIONS):
            slot = slot_of(patient_spread.keys.events(partition))
            source = await patient_cluster.master_of_slot(slot)
            target = next(one for one in await patient_cluster.masters() if one is not source)
            await patient_cluster.move_slot(slot, target)
        await appenders.until(100)
    assert await appenders.faults() == {}
    assert not appenders.doubtful


async def test_a_slot_that_is_half_moved_is_served(
    patient_cluster: ClusterServers, patient_spread: EventLog
) -> None:
    """What is there is served by the one node, what has moved by the other."""
    slot = slot_of(patient_spread.keys.events(0))
    endpoint = next(one for one in iter(uuid4, None) if partition_of(one, PARTITIONS) == 0)
    await patient_spread.append(replace(created(), endpoint_id=endpoint))
    source = await patient_cluster.master_of_slot(slot)
    target = next(one for one in await patient_cluster.masters() if one is not source)
    await patient_cluster.begin_move(slot, target)
    assert len([one async for one in patient_spread.read()]) == 1
    await patient_cluster.move_keys(slot, target)
    assert len([one async for one in patient_spread.read()]) == 1
    async with anyio.create_task_group() as tasks:
        # A script waits for the end: not all of its keys are there, so no node can run it.
        again = replace(created(name="again"), endpoint_id=endpoint)
        tasks.start_soon(patient_spread.append, again)
        await patient_cluster.end_move(slot, target)
    assert len([one async for one in patient_spread.read()]) == 2


async def test_a_planned_failover_under_load_loses_nothing(
    patient_cluster: ClusterServers, patient_spread: EventLog
) -> None:
    appenders = Appenders(patient_spread)
    async with appenders.running():
        await appenders.until(100)
        await patient_cluster.failover(patient_spread.keys.events(0))
        await appenders.until(100)
    assert await appenders.faults() == {}


async def test_a_master_that_stands_still_is_replaced_and_nothing_is_lost(
    own_cluster: ClusterServers, own_spread: EventLog
) -> None:
    appenders = Appenders(own_spread, ON_A_REPLICA)
    key = own_spread.keys.events(0)
    async with appenders.running():
        await appenders.until(100)
        master = await own_cluster.master_of(key)
        own_cluster.pause(master)
        await own_cluster.until_promoted(key, master)
        await appenders.until(100)
        own_cluster.resume(master)
        await own_cluster.until_whole()
        await appenders.until(100)
    assert await appenders.faults() == {}


async def test_a_cluster_of_which_nothing_is_there_is_one_clear_error(
    own_cluster: ClusterServers,
) -> None:
    own_cluster.kill_all()
    server = Server(ServerSettings(url=own_cluster.url, timeout_s=1.0))
    with pytest.raises(ServerUnavailableError, match=r"no Redis at 127\.0\.0\.1:\d+,.*refused"):
        await server.check()
    await server.aclose()


HERE = ServerPlace("10.0.0.1", 7000)


@pytest.mark.parametrize("unnamed", [b"", None, b"?"])
def test_a_node_that_does_not_know_its_own_host_means_the_one_that_was_asked(
    unnamed: object,
) -> None:
    raw = [[0, 5, [unnamed, 7001, b"id"]], [6, 16_383, [b"10.0.0.2", 7002, b"id", []]]]
    assert slot_ranges(raw, HERE) == [
        (0, 5, ServerPlace("10.0.0.1", 7001)),
        (6, 16_383, ServerPlace("10.0.0.2", 7002)),
    ]


async def test_a_slot_that_nobody_serves_is_an_error_that_names_it() -> None:
    async def slots(_node: ServerPlace) -> object:
        return [[0, 5, [b"10.0.0.2", 7002, b"id"]]]

    places = ClusterPlaces([HERE], slots)
    with pytest.raises(ServerUnavailableError, match=r"no node .* serves slot \d+, that of foo"):
        await places.of("foo")


async def test_a_node_that_sends_elsewhere_is_believed_for_that_slot_alone() -> None:
    async def slots(_node: ServerPlace) -> object:
        return [[0, 16_383, [b"10.0.0.2", 7002, b"id"]]]

    places = ClusterPlaces([HERE], slots)
    assert await places.of("foo") == ServerPlace("10.0.0.2", 7002)
    places.moved(slot_of("foo"), HERE)
    assert (await places.of("foo"), await places.of("bar")) == (HERE, ServerPlace("10.0.0.2", 7002))
    places.doubt(HERE)

    async def is_looked_up() -> bool:
        return await places.of("foo") == ServerPlace("10.0.0.2", 7002)

    await wait_until(is_looked_up, "the slots are looked up again")
