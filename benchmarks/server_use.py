"""What a server used in a span of time: its core, its network, its commands."""

import os
from pathlib import Path
from typing import Self

import msgspec

from events.server.client import Client


class ServerUse(msgspec.Struct, frozen=True):
    """What a server has used, since its start or of a share of that."""

    cpu_us: float
    bytes_out: float
    commands: float

    def __sub__(self, other: Self) -> Self:
        return type(self)(
            self.cpu_us - other.cpu_us,
            self.bytes_out - other.bytes_out,
            self.commands - other.commands,
        )

    def __truediv__(self, units: float) -> Self:
        return type(self)(self.cpu_us / units, self.bytes_out / units, self.commands / units)


async def server_use(client: Client) -> ServerUse:
    """Return what the server has used since its start."""
    cpu = await client.execute_command("INFO", "cpu")
    stats = await client.execute_command("INFO", "stats")
    return ServerUse(
        cpu_us=1e6 * (cpu["used_cpu_user"] + cpu["used_cpu_sys"]),
        bytes_out=stats["total_net_output_bytes"],
        commands=stats["total_commands_processed"],
    )


def cpu_s(process_id: int) -> float:
    """Return the seconds for which a process has had a core, as Linux counts them."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
