"""A master with a replica, and three real sentinels that watch it."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from consumers.processes.embedded import (
    EmbeddedServer,
    embedded_server,
    free_port,
    server_program,
)
from events.errors import ServerUnavailableError
from events.server.reply import reply
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.support.waiting import wait_until

MASTER = "routes"
QUORUM, SENTINELS = 2, 3

_CONFIGURATION = f"""
port {{port}}
bind 127.0.0.1
dir {{folder}}
sentinel monitor {MASTER} 127.0.0.1 {{master}} {QUORUM}
sentinel down-after-milliseconds {MASTER} 500
sentinel failover-timeout {MASTER} 3000
"""


class Watched(msgspec.Struct, frozen=True):
    """Two servers and the ports of the sentinels."""

    master: EmbeddedServer
    replica: EmbeddedServer
    ports: tuple[int, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(f"redis://127.0.0.1:{port}" for port in self.ports)

    async def until_ready(self) -> None:
        """Wait until each sentinel knows the replica and the other sentinels."""
        for url in self.urls:
            server = Server(ServerSettings(url=url))

            async def knows_all(server: Server = server) -> bool:
                try:
                    raw = await server.client.call("SENTINEL", "MASTER", MASTER)
                except ServerUnavailableError:
                    return False
                flat = reply(raw, list[bytes])
                known = dict(zip(flat[::2], flat[1::2], strict=True))
                others = int(known[b"num-other-sentinels"])
                return others == SENTINELS - 1 and int(known[b"num-slaves"]) == 1

            await wait_until(knows_all, "the sentinel knows all", 30.0)
            await server.aclose()

    async def until_replicated(self) -> None:
        """Wait until the replica has all that was written to the master until now."""

        async def has_all() -> bool:
            of_master, of_replica = await _role(self.master), await _role(self.replica)
            return reply(of_replica[4], int) >= reply(of_master[1], int)  # how far each is

        await wait_until(has_all, "the replica has all", 30.0)

    async def until_promoted(self) -> None:
        """Wait until the replica is the master; an election that fails is held again later."""

        async def is_master() -> bool:
            with suppress(ServerUnavailableError):  # a promotion ends all connections
                return (await _role(self.replica))[0] == b"master"
            return False

        await wait_until(is_master, "the replica is the master", 90.0)


async def _role(server: EmbeddedServer) -> list[object]:
    asked = Server(ServerSettings(url=server.url))
    try:
        return reply(await asked.client.call("ROLE"), list[object])
    finally:
        await asked.aclose()


@contextmanager
def watched_servers(folder: Path, *options: str) -> Iterator[Watched]:
    """Run them during the block; both servers have the *options*."""
    with ExitStack() as stack:
        master = stack.enter_context(embedded_server(*options))
        follows = ("--replicaof", "127.0.0.1", str(master.port))
        replica = stack.enter_context(embedded_server(*options, *follows))
        ports = tuple(free_port() for _ in range(SENTINELS))
        for port in ports:
            file = folder / f"sentinel-{port}.conf"
            file.write_text(_CONFIGURATION.format(port=port, folder=folder, master=master.port))
            process = subprocess.Popen(
                [server_program(), file, "--sentinel"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield Watched(master, replica, ports)
