"""What a Redis Cluster tells of itself: who serves the slots, and what decides about failovers."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from consumers.doctor.server_queries import ServerQueries
from events.errors import ServerUnavailableError
from events.server.reply import reply_or_none

_FAILED = "fail"


class ClusterNode(msgspec.Struct, frozen=True):
    """A node as the others see it."""

    address: str
    role: str
    health: str


class ClusterShard(msgspec.Struct, frozen=True):
    """Slots, and the nodes that have them: a master, and its replicas."""

    slots: Sequence[int]
    nodes: Sequence[ClusterNode]

    @property
    def is_served(self) -> bool:
        """Whether its master is there."""
        return any(node.role == "master" and node.health != _FAILED for node in self.nodes)

    @property
    def replicas(self) -> int:
        """How many of its replicas are there."""
        return sum(node.role != "master" and node.health != _FAILED for node in self.nodes)


class ClusterFacts(msgspec.Struct, frozen=True):
    """What a cluster reported.

    Attributes:
        shards: Those that have slots.
        settings: CONFIG GET of what decides about failovers.
    """

    shards: Sequence[ClusterShard]
    settings: Mapping[str, str]


async def read_cluster(queries: ServerQueries) -> ClusterFacts | None:
    """Return the facts of the cluster by its first node that answers, None if there is none."""
    for _, node in await queries.each() if queries.is_cluster else ():
        with suppress(ServerUnavailableError):
            shards = shards_of(await node.ask("CLUSTER SHARDS"))
            settings = reply_or_none(await node.ask("CONFIG GET", "cluster-*"), dict[str, str])
            return ClusterFacts(shards, settings or {})
    return None


def shards_of(raw: object) -> list[ClusterShard]:
    """Return what CLUSTER SHARDS replied; nothing if it was refused."""
    shards = []
    for told in reply_or_none(raw, list[list[Any]]) or ():
        fields = _fields(told)
        nodes = [_fields(node) for node in fields[b"nodes"]]
        if fields[b"slots"]:
            shards.append(ClusterShard(fields[b"slots"], [_node(node) for node in nodes]))
    return shards


def _fields(flat: Sequence[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _node(told: Mapping[bytes, Any]) -> ClusterNode:
    host = told.get(b"ip") or told.get(b"endpoint") or b"?"
    port = told.get(b"port") or told.get(b"tls-port") or 0
    role, health = told[b"role"].decode(), told[b"health"].decode()
    return ClusterNode(f"{host.decode()}:{port}", role, health)
