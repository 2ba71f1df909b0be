"""A Redis Cluster of processes on loopback: three masters, and a replica of each."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import anyio
import msgspec
from redis.crc import key_slot

from consumers.processes.embedded import EmbeddedServer
from tests.support.server_set import (
    UNANSWERED,
    NewServer,
    ServerSet,
    ask,
    free_ports,
    host_of,
    new_folder,
    told,
)
from tests.support.servers import SLOTS
from tests.support.waiting import wait_until

MASTERS = 3
NODE_TIMEOUT_MS = 3_000
"""A node that does not answer for this long has failed: also one that only gets no CPU."""

WHOLE_TIMEOUT_S = 60.0
_PROMOTION_TIMEOUT_S = 60.0
_FAILOVERS_TRIED = 10
_FAILOVER_TIMEOUT_S = 10.0
_MIGRATE_TIMEOUT_MS = 10_000
_KEYS_AT_ONCE = 100


def slot_of(key: str) -> int:
    """Return the slot that *key* lies in."""
    return int(key_slot(key.encode()))


class ClusterMember(msgspec.Struct, frozen=True):
    """A node, as one of them (perhaps itself) knows it."""

    node_id: str
    port: int
    flags: frozenset[str]
    master_id: str
    epoch: int
    slots: frozenset[int]

    @property
    def is_failing(self) -> bool:
        """Whether it is suspected, failed, or not yet known."""
        return bool(self.flags & {"fail", "fail?", "handshake", "noaddr"})


def _member(line: str) -> ClusterMember:
    node_id, address, flags, master_id, _, _, epoch, _, *ranges = line.split()
    slots: set[int] = set()
    for given in ranges:
        if not given.startswith("["):  # a slot that moves is named in brackets beside its range
            first, _, last = given.partition("-")
            slots.update(range(int(first), int(last or first) + 1))
    port = int(address.split("@")[0].rsplit(":", 1)[1])
    named = frozenset(flags.split(","))
    return ClusterMember(node_id, port, named, master_id, int(epoch), frozenset(slots))


async def members(node: EmbeddedServer) -> list[ClusterMember]:
    """Return all nodes, as *node* knows them."""
    return [_member(line) for line in str(await ask(node, "CLUSTER", "NODES")).splitlines()]


async def myself(node: EmbeddedServer) -> ClusterMember:
    """Return *node*, as it knows itself."""
    return next(one for one in await members(node) if "myself" in one.flags)


class ClusterServers(ServerSet):
    """The nodes of a cluster; any of them may be killed, paused, or lose its slots.

    It has no replicas where it was made without.
    """

    @property
    def url(self) -> str:
        """The URL by which our own client finds its way to it."""
        return "cluster://" + ",".join(f"127.0.0.1:{one.port}" for one in self.servers)

    async def master_of(self, key: str) -> EmbeddedServer:
        """Return the node that serves the slot of *key*, of those that answer."""
        return await self.master_of_slot(slot_of(key))

    async def master_of_slot(self, slot: int) -> EmbeddedServer:
        """Return the node that serves *slot*, of those that answer.

        Each is asked about itself; where two claim the slot, the one elected last has it.
        """
        claims = [one for one in await self._selves() if slot in one.slots]
        assert claims, f"no node that answers serves slot {slot}"
        return self.on_port(max(claims, key=lambda claim: claim.epoch).port)

    async def masters(self) -> list[EmbeddedServer]:
        """Return the nodes that serve slots, of those that answer."""
        return [self.on_port(one.port) for one in await self._selves() if one.slots]

    async def replicas_of(self, master: EmbeddedServer) -> list[EmbeddedServer]:
        """Return the replicas of *master* that answer."""
        known = await myself(master)
        return [self.on_port(one.port) for one in await self._selves() if _follows(one, known)]

    async def key_on(self, node: EmbeddedServer, prefix: str = "key") -> str:
        """Return a key with a hash tag whose slot *node* serves."""
        slots = (await myself(node)).slots
        assert slots, f"the node on port {node.port} serves no slots"
        return next(key for n in range(SLOTS * 100) if slot_of(key := f"{{{prefix}:{n}}}") in slots)

    async def failover(self, key: str) -> EmbeddedServer:
        """Let a replica take over the slot of *key* as planned, and return it: the new master."""
        [replica, *_] = await self.replicas_of(await self.master_of(key))
        for _ in range(_FAILOVERS_TRIED):
            await ask(replica, "CLUSTER", "FAILOVER")
            with anyio.move_on_after(_FAILOVER_TIMEOUT_S):
                return await self._until_serving(slot_of(key), [replica])
        raise AssertionError(f"the node on port {replica.port} did not become master")

    async def until_promoted(self, key: str, old: EmbeddedServer) -> EmbeddedServer:
        """Wait until another node than *old* serves the slot of *key*; return that."""
        others = [one for one in self.servers if one is not old]
        return await self._until_serving(slot_of(key), others)

    async def _until_serving(self, slot: int, nodes: list[EmbeddedServer]) -> EmbeddedServer:
        serving: list[EmbeddedServer] = []

        async def is_served() -> bool:
            serving[:] = [
                self.on_port(one.port)
                for one in await self._selves()
                if slot in one.slots and self.on_port(one.port) in nodes
            ]
            return bool(serving)

        ports = [one.port for one in nodes]
        await wait_until(is_served, f"one of {ports} serves slot {slot}", _PROMOTION_TIMEOUT_S)
        return serving[0]

    async def begin_move(self, slot: int, target: EmbeddedServer) -> None:
        """Let *slot* be on its way to *target*: what is asked for keys that have moved, is ASK."""
        source = await self.master_of_slot(slot)
        await ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", (await myself(source)).node_id)
        await ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", (await myself(target)).node_id)

    async def move_keys(self, slot: int, target: EmbeddedServer, *keys: str) -> None:
        """Move *keys*, or else all there are in *slot*, to *target*."""
        source = await self.master_of_slot(slot)
        to = (host_of(target), target.port, "", 0, _MIGRATE_TIMEOUT_MS)
        if keys:
            await ask(source, "MIGRATE", *to, "KEYS", *keys)
            return
        while found := await ask(source, "CLUSTER", "GETKEYSINSLOT", slot, _KEYS_AT_ONCE):
            assert isinstance(found, list)
            await ask(source, "MIGRATE", *to, "KEYS", *found)

    async def end_move(self, slot: int, target: EmbeddedServer) -> None:
        """Let *slot* be *target*'s, also for all other masters."""
        source = await self.master_of_slot(slot)
        selves = [one for one in await self._selves() if "master" in one.flags]
        ports = [target.port, source.port, *(one.port for one in selves)]
        node_id = (await myself(target)).node_id
        for port in dict.fromkeys(ports):  # the target first: it must not be asked in vain
            await ask(self.on_port(port), "CLUSTER", "SETSLOT", slot, "NODE", node_id)

    async def move_slot(self, slot: int, target: EmbeddedServer) -> None:
        """Move *slot* with its keys to *target*, key by key, as every version can."""
        await self.begin_move(slot, target)
        await self.move_keys(slot, target)
        await self.end_move(slot, target)

    async def until_whole(self) -> None:
        """Wait until all nodes that answer serve all slots between them, and agree about it.

        Their replicas are up to date. What does not answer is no longer anybody's master.
        """
        await wait_until(self._is_whole, "the cluster is whole", WHOLE_TIMEOUT_S)

    async def _is_whole(self) -> bool:
        answering = self.answering
        ports = {one.port for one in answering}
        served: set[frozenset[tuple[int, frozenset[int]]]] = set()
        for node in answering:
            try:
                known = [one for one in await members(node) if one.port in ports]
                state = (await told(node, "CLUSTER", "INFO"))["cluster_state"]
                if state != "ok" or not await _is_linked(node):
                    return False
            except UNANSWERED:
                return False
            if len(known) != len(ports) or any(one.is_failing for one in known):
                return False
            served.add(frozenset((one.port, one.slots) for one in known if one.slots))
        [shares, *others] = served
        return not others and sum(len(slots) for _, slots in shares) == SLOTS

    async def _selves(self) -> list[ClusterMember]:
        found = []
        for node in self.answering:
            try:
                found.append(await myself(node))
            except UNANSWERED:  # it is about to end
                continue
        return found

    async def join(self, replicas: int) -> None:
        """Make one cluster of the nodes, which are empty: the first are masters."""
        masters = self.servers[: len(self.servers) // (replicas + 1)]
        bounds = [SLOTS * n // len(masters) for n in range(len(masters) + 1)]
        for epoch, node in enumerate(self.servers, 1):
            await ask(node, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for node, first, end in zip(masters, bounds, bounds[1:], strict=False):
            await ask(node, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for number, node in enumerate(self.servers):
            for other in self.servers[:number]:
                meeting = (host_of(other), other.port, _bus_port(other))
                await ask(node, "CLUSTER", "MEET", *meeting)
        for number, node in enumerate(self.servers[len(masters) :]):
            await self._follow(node, masters[number % len(masters)])

    async def _follow(self, node: EmbeddedServer, master: EmbeddedServer) -> None:
        node_id = (await myself(master)).node_id

        async def follows() -> bool:
            try:
                await ask(node, "CLUSTER", "REPLICATE", node_id)
            except UNANSWERED:  # they have not yet met
                return False
            return True

        await wait_until(follows, f"{node.port} follows {master.port}", WHOLE_TIMEOUT_S)


def _follows(replica: ClusterMember, master: ClusterMember) -> bool:
    return replica.master_id == master.node_id


async def _is_linked(node: EmbeddedServer) -> bool:
    """Whether *node* is a master, or has all that its master has."""
    replication = await told(node, "INFO", "replication")
    return replication.get("master_link_status", "up") == "up"


def _bus_port(node: EmbeddedServer) -> str:
    options = list(node._options)
    return options[options.index("--cluster-port") + 1]


@asynccontextmanager
async def cluster_servers(
    *options: str,
    replicas: int = 1,
    node_timeout_ms: int = NODE_TIMEOUT_MS,
    kind: NewServer = EmbeddedServer,
) -> AsyncIterator[ClusterServers]:
    """Run three masters, each with so many *replicas*; every node has the *options*."""
    with ExitStack() as stack:
        count = MASTERS * (replicas + 1)
        ports = free_ports(2 * count)
        nodes = [
            kind(
                new_folder(stack),
                *("--cluster-enabled", "yes", "--cluster-port", str(bus_port)),
                *("--cluster-node-timeout", str(node_timeout_ms)),
                *("--repl-diskless-sync-delay", "0", *options),
                port=port,
            )
            for port, bus_port in zip(ports[:count], ports[count:], strict=True)
        ]
        together = ClusterServers(nodes)
        stack.callback(together.kill_all)
        await together.start_all()
        await together.join(replicas)
        await together.until_whole()
        yield together
