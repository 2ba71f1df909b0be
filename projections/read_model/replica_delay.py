"""Tell how long a replica may have missed what its master has."""

from math import inf

from events.errors import ServerRefusedError
from events.server.server import Server


async def replica_delay_s(server: Server, key: str) -> float:
    """Return for how many seconds the server that has *key* has heard nothing of its master.

    0 where it is no replica, or does not tell; infinite where it never heard of its master. A
    master that has nothing to send says so every 10 seconds (its `repl-ping-replica-period`): for
    so long a replica that misses nothing may have heard nothing.
    """
    try:
        about = await (await server.at(key)).told("replication")
    except ServerRefusedError:
        return 0.0
    if about.get("role") != "slave":
        return 0.0
    is_up = about.get("master_link_status") == "up"
    told = about.get("master_last_io_seconds_ago" if is_up else "master_link_down_since_seconds")
    return float(told) if isinstance(told, int) and told >= 0 else inf
