"""The connections that consumers of a group wait on: found by their names, and woken."""

from contextlib import suppress
from urllib.parse import quote

from events.errors import ServerRefusedError
from events.log.keys import Keys
from events.server.reply import reply
from events.server.server import Server

_ROUNDS_MAX = 20


def connection_name(keys: Keys, partition: int, group: str, consumer: str = "") -> str:
    """Return what a consumer calls the connection it waits on; without *consumer*, its beginning.

    Redis takes no spaces in it.
    """
    parts = (keys.namespace, str(partition), group, consumer)
    return ":".join(["routestream", *(quote(part, safe="") for part in parts)])


async def wake_others(server: Server, keys: Keys, partition: int, of: tuple[str, str]) -> None:
    """End the waits of the other consumers of group and consumer *of*.

    One that does not wait at this moment is tried again a few times. An account that may not ask
    who is connected wakes nobody; they look by themselves in time.
    """
    group, consumer = of
    beginning = connection_name(keys, partition, group)
    own = connection_name(keys, partition, group, consumer)
    with suppress(ServerRefusedError):
        clients = await server.client.call("CLIENT LIST", "TYPE", "normal")
        names = {one["id"]: one["name"] for one in reply(clients, list[dict[str, str]])}
        waiting = [id_ for id_, name in names.items() if name.startswith(beginning) and name != own]
        for _ in range(_ROUNDS_MAX):
            waiting = [one for one in waiting if not await _is_woken(server, one)]
            if not waiting:
                return


async def _is_woken(server: Server, connection: str) -> bool:
    return bool(await server.client.call("CLIENT UNBLOCK", connection))
