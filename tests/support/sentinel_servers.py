"""A master with replicas on loopback, and three real sentinels that watch them."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio

from consumers.processes.embedded import EmbeddedServer
from tests.support.server_set import (
    UNANSWERED,
    NewServer,
    ServerSet,
    ask,
    free_ports,
    new_folder,
    told,
)
from tests.support.waiting import wait_until

MASTER = "routes"
QUORUM, SENTINELS = 2, 3
DOWN_AFTER_MS = 3_000
"""A master that does not answer for this long has failed: also one that only gets no CPU.

A replica whose link was down for ten times as long before is not promoted.
"""

WHOLE_TIMEOUT_S = 60.0
_PROMOTION_TIMEOUT_S = 90.0
_FAILOVERS_TRIED = 5
_FAILOVER_TIMEOUT_S = 10.0

_CONFIGURATION = f"""
port {{port}}
bind 127.0.0.1
dir {{folder}}
sentinel monitor {MASTER} 127.0.0.1 {{master}} {QUORUM}
sentinel down-after-milliseconds {MASTER} {{down_after_ms}}
sentinel failover-timeout {MASTER} 3000
"""


class SentinelServer(EmbeddedServer):
    """A sentinel, which keeps what it knows in a file of its *folder*."""

    def __init__(self, folder: Path, master: EmbeddedServer, port: int, down_after_ms: int) -> None:
        super().__init__(folder, port=port)
        self._file = folder / "sentinel.conf"
        known = _CONFIGURATION.format(
            port=self.port, folder=folder, master=master.port, down_after_ms=down_after_ms
        )
        self._file.write_text(known)

    def _command(self, program: str) -> list[str]:
        return [program, str(self._file), "--sentinel"]


class SentinelServers(ServerSet):
    """A master, its replicas, and the sentinels; any of them may be killed or paused.

    Attributes:
        sentinels: Those that watch, also those that are away.
    """

    def __init__(
        self, servers: Iterable[EmbeddedServer], sentinels: Iterable[SentinelServer]
    ) -> None:
        super().__init__(servers)
        self.sentinels = ServerSet(sentinels)

    def url(self, name: str = MASTER, **options: object) -> str:
        """The URL by which the log is opened: all sentinels, and the name of the master."""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels.servers)
        query = "&".join(f"{option}={value}" for option, value in options.items())
        return f"sentinel://{hosts}/{name}?{query}"

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the sentinels are."""
        return tuple(one.url for one in self.sentinels.servers)

    async def master(self) -> EmbeddedServer:
        """Return the server that most sentinels name as the master."""
        named = Counter([await _named_by(one) for one in self.sentinels.answering])
        return self.on_port(named.most_common(1)[0][0])

    async def replicas(self) -> list[EmbeddedServer]:
        """Return the servers that answer, without the master."""
        master = await self.master()
        return [one for one in self.answering if one is not master]

    async def failover(self) -> EmbeddedServer:
        """Let a replica take over as planned, and return it when the sentinels name it.

        What the old master replies to until the sentinels demote it, for some 10 s, is lost.
        """
        old = await self.master()
        for _ in range(_FAILOVERS_TRIED):
            await self._ask_for_failover()
            with anyio.move_on_after(_FAILOVER_TIMEOUT_S):
                return await self.until_promoted(old)
        raise AssertionError(f"the sentinels did not replace the master on port {old.port}")

    async def _ask_for_failover(self) -> None:
        async def accepted() -> bool:
            try:
                await ask(self.sentinels.answering[0], "SENTINEL", "FAILOVER", MASTER)
            except UNANSWERED:  # another one is in progress, or no replica is good enough yet
                return False
            return True

        await wait_until(accepted, "a sentinel begins a failover", WHOLE_TIMEOUT_S)

    async def until_promoted(self, old: EmbeddedServer) -> EmbeddedServer:
        """Wait until all sentinels that answer name one other master than *old*; return that."""
        named: set[int] = set()

        async def is_replaced() -> bool:
            named.clear()
            named.update([await _named_by(one) for one in self.sentinels.answering])
            return len(named) == 1 and old.port not in named

        await wait_until(is_replaced, f"{old.port} is not the master", _PROMOTION_TIMEOUT_S)
        return self.on_port(named.pop())

    async def until_whole(self) -> None:
        """Wait until all sentinels know each other, all replicas, and one master.

        All servers that answer follow it, and have all that it has.
        """
        await wait_until(self._is_whole, "the sentinels' servers are whole", WHOLE_TIMEOUT_S)

    async def until_linked(self, master: EmbeddedServer) -> None:
        """Wait until all others follow *master*.

        A sentinel that looks earlier knows nothing of them for 10 s: it asks no sooner again.
        """

        async def are_linked() -> bool:
            others = [one for one in self.servers if one is not master]
            return all([await _follows(one, master.port) for one in others])

        await wait_until(are_linked, f"the others follow {master.port}", WHOLE_TIMEOUT_S)

    async def until_replicated(self) -> None:
        """Wait until all replicas that answer have what was written to the master until now."""
        written = await _offset(await self.master())

        async def have_all() -> bool:
            return min([await _offset(one) for one in await self.replicas()]) >= written

        await wait_until(have_all, "the replicas have all", WHOLE_TIMEOUT_S)

    async def _is_whole(self) -> bool:
        try:
            master = await self.master()
            seen = [await _knows_all(one, master.port, self) for one in self.sentinels.answering]
            following = [await _follows(one, master.port) for one in await self.replicas()]
            return all(seen) and all(following)
        except UNANSWERED:
            return False


async def _named_by(sentinel: EmbeddedServer) -> int:
    answer = await ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
    assert isinstance(answer, list)
    return int(answer[1])


async def _knows_all(sentinel: EmbeddedServer, master: int, every: SentinelServers) -> bool:
    flat = await ask(sentinel, "SENTINEL", "MASTER", MASTER)
    assert isinstance(flat, list)
    known = dict(zip(flat[::2], flat[1::2], strict=True))
    return (
        int(known["port"]) == master
        and known["flags"] == "master"
        and int(known["num-other-sentinels"]) == len(every.sentinels.servers) - 1
        and int(known["num-slaves"]) == len(every.servers) - 1
    )


async def _follows(replica: EmbeddedServer, master: int) -> bool:
    about = await told(replica, "INFO", "replication")
    return about.get("master_port") == str(master) and about["master_link_status"] == "up"


async def _offset(server: EmbeddedServer) -> int:
    about = await told(server, "INFO", "replication")
    return int(about.get("slave_repl_offset", about["master_repl_offset"]))


@asynccontextmanager
async def sentinel_servers(
    *options: str,
    replicas: int = 2,
    down_after_ms: int = DOWN_AFTER_MS,
    kind: NewServer = EmbeddedServer,
) -> AsyncIterator[SentinelServers]:
    """Run a master with so many *replicas*, each with the *options*, and three sentinels."""
    with ExitStack() as stack:
        port, *ports = free_ports(1 + replicas + SENTINELS)
        options = ("--repl-diskless-sync-delay", "0", *options)
        master = kind(new_folder(stack), *options, port=port)
        follows = ("--replicaof", "127.0.0.1", str(port))
        followers = [
            kind(new_folder(stack), *options, *follows, port=one) for one in ports[:replicas]
        ]
        watching = [
            SentinelServer(new_folder(stack), master, one, down_after_ms)
            for one in ports[replicas:]
        ]
        together = SentinelServers([master, *followers], watching)
        stack.callback(together.kill_all)
        stack.callback(together.sentinels.kill_all)
        await together.start_all()
        await together.until_linked(master)
        await together.sentinels.start_all()
        await together.until_whole()
        yield together
