"""Reads the facts of a server: its state, its settings, its clock, and our rights."""

from collections.abc import Mapping, Sequence
from time import time
from typing import Any

import msgspec

from consumers.doctor.server_queries import ServerQueries
from events.log.keys import Keys
from events.server.reply import reply_or_none
from projections.route_table.route_table import ROUTE_TABLE

_ID = "0-1"


class ServerReplica(msgspec.Struct, frozen=True):
    """A replica as its master sees it: its state, and the seconds since its last sign."""

    address: str
    state: str
    lag_s: int


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server reported; a section that it refused is empty.

    Attributes:
        server: INFO server.
        persistence: INFO persistence.
        memory: INFO memory.
        replication: INFO replication.
        settings: CONFIG GET of what INFO does not report.
        watched_as: The name by which sentinels know it as their master; empty where none do.
        user: The user whose rights are checked.
        missing_rights: Commands that *user* may not run, None if that may not be asked.
        clock_ahead_s: Seconds by which its clock is ahead of ours, None if it refuses TIME.
    """

    server: Mapping[str, Any] = {}
    persistence: Mapping[str, Any] = {}
    memory: Mapping[str, Any] = {}
    replication: Mapping[str, Any] = {}
    settings: Mapping[str, str] = {}
    watched_as: str = ""
    user: str | None = None
    missing_rights: Sequence[str] | None = None
    clock_ahead_s: float | None = None

    @property
    def is_loading(self) -> bool:
        """Whether it is loading its file, and answers nothing else."""
        return bool(self.persistence.get("loading"))

    @property
    def replicas(self) -> list[ServerReplica]:
        """The replicas that are connected to it."""
        found = (self.replication.get(f"slave{n}") for n in range(_connected(self.replication)))
        return [
            ServerReplica(f"{r['ip']}:{r['port']}", str(r["state"]), int(r.get("lag", 0)))
            for r in found
            if isinstance(r, Mapping)
        ]


async def read_server(queries: ServerQueries, keys: Keys, user: str | None = None) -> ServerFacts:
    """Ask the server about itself, and about the rights of *user*, by default our own."""
    own_name = await queries.ask("ACL WHOAMI")
    settings = await queries.ask(
        "CONFIG GET", "appendfsync", "stop-writes*", "save", "min-replicas*"
    )
    name = user or (None if own_name is None else str(own_name))
    return ServerFacts(
        server=await queries.info("server"),
        persistence=await queries.info("persistence"),
        memory=await queries.info("memory"),
        replication=await queries.info("replication"),
        settings=reply_or_none(settings, dict[str, str]) or {},
        watched_as=queries.watched_as,
        user=name,
        missing_rights=None if name is None else await _missing_rights(queries, keys, name),
        clock_ahead_s=await _clock_ahead_s(queries),
    )


async def _clock_ahead_s(queries: ServerQueries) -> float | None:
    before = time()
    server_time = reply_or_none(await queries.ask("TIME"), tuple[int, int])
    if server_time is None:
        return None
    seconds, microseconds = server_time
    return float(seconds + microseconds / 1_000_000 - (before + time()) / 2)


async def _missing_rights(queries: ServerQueries, keys: Keys, user: str) -> list[str] | None:
    missing = []
    for command in needed_commands(keys):
        answer = reply_or_none(await queries.ask("ACL DRYRUN", user, *command), bytes)
        if answer is None:
            return None
        if answer != b"OK":
            missing.append(f"{command[0].lower()} on {command[1]}" if answer else command[0])
    return missing


def needed_commands(keys: Keys) -> list[tuple[str, ...]]:
    """Return an example of each command that producers and consumers use; none is executed."""
    stream, heads = keys.events(0), keys.heads(0)
    documents = keys.documents(0, ROUTE_TABLE.read_model, 1)
    return [
        ("XADD", stream, "*", "name", "value"),
        ("XLEN", stream),
        ("XRANGE", stream, "-", "+"),
        ("XREVRANGE", stream, "+", "-"),
        ("XREAD", "STREAMS", stream, "0"),
        ("XREADGROUP", "GROUP", "group", "consumer", "STREAMS", stream, ">"),
        ("XPENDING", stream, "group"),
        ("XCLAIM", stream, "group", "consumer", "0", _ID),
        ("XGROUP", "CREATE", stream, "group", "0"),
        ("XINFO", "STREAM", stream),
        ("HSET", heads, "field", "value"),
        ("HLEN", heads),
        ("HGET", documents, "field"),
        ("HGET", keys.layout, "partitions"),
        ("ZADD", keys.checkers, "1", "checker"),
        ("ZMSCORE", keys.probed(0), "route"),
        ("HMGET", keys.probe_results(0), "route"),
        ("EVALSHA", "0" * 40, "1", stream),
        ("EVAL", "return 1", "1", stream),
    ]


def _connected(replication: Mapping[str, Any]) -> int:
    return min(int(replication.get("connected_slaves", 0)), 100)
