"""What happens to a cluster while others use it; each fault leaves it whole again."""

from collections.abc import Awaitable, Callable

from consumers.processes.embedded import EmbeddedServer
from tests.support.cluster_servers import ClusterServers, slot_of
from tests.support.docker_network import NetworkedServer
from tests.support.server_set import told
from tests.support.waiting import wait_until

_AHEAD_BYTES = 5_000

Fault = Callable[[ClusterServers, str], Awaitable[None]]
"""Strikes the master of a key."""


async def cut_off(cluster: ClusterServers, key: str) -> None:
    """The network cable of the master is pulled, and plugged in when another is master."""
    master = await cluster.master_of(key)
    assert isinstance(master, NetworkedServer)
    with cluster.without(master):
        master.cut()
        await cluster.until_promoted(key, master)
        master.heal()
    await cluster.until_whole()


async def killed_without_its_replica(cluster: ClusterServers, key: str) -> None:
    """The replica is cut off, the master goes on alone and is killed, and the replica takes over.

    What the master alone has is lost: an append that did not wait for the replica, too.
    """
    master = await cluster.master_of(key)
    [replica] = await cluster.replicas_of(master)
    assert isinstance(replica, NetworkedServer)
    with cluster.without(replica):
        replica.cut()
        await _until_ahead(master)
        cluster.kill(master)
        replica.heal()
    await cluster.until_promoted(key, master)
    await cluster.restart(master)
    await cluster.until_whole()


async def killed(cluster: ClusterServers, key: str) -> None:
    """The master is killed, and started again when another is master."""
    master = await cluster.master_of(key)
    cluster.kill(master)
    await cluster.until_promoted(key, master)
    await cluster.restart(master)
    await cluster.until_whole()


async def paused(cluster: ClusterServers, key: str) -> None:
    """The master stands still, and goes on when another is master."""
    master = await cluster.master_of(key)
    cluster.pause(master)
    await cluster.until_promoted(key, master)
    cluster.resume(master)
    await cluster.until_whole()


async def failed_over(cluster: ClusterServers, key: str) -> None:
    """A replica takes over as planned."""
    await cluster.failover(key)
    await cluster.until_whole()


async def restarted_in_turn(cluster: ClusterServers, _key: str) -> None:
    """Each node is restarted, a master when a replica has taken over, as an upgrade does."""
    for node in cluster.servers:
        for key in await _keys_on(cluster, node):
            await cluster.failover(key)
            await cluster.until_whole()
        await cluster.restart(node)
        await cluster.until_whole()


async def moved(cluster: ClusterServers, key: str) -> None:
    """The slot moves to another master, key by key."""
    master = await cluster.master_of(key)
    [target, *_] = [one for one in await cluster.masters() if one is not master]
    await cluster.move_slot(slot_of(key), target)
    await cluster.until_whole()


async def _until_ahead(master: EmbeddedServer) -> None:
    """Wait until *master* has written more than a few entries."""

    async def written() -> int:
        return int((await told(master, "INFO", "replication"))["master_repl_offset"])

    first = await written()

    async def is_ahead() -> bool:
        return await written() >= first + _AHEAD_BYTES

    await wait_until(is_ahead, "the master has written alone")


async def _keys_on(cluster: ClusterServers, node: EmbeddedServer) -> list[str]:
    return [await cluster.key_on(node)] if node in await cluster.masters() else []
