"""Names the connections that consumers of a group wait on, and wakes them."""

from contextlib import suppress
from urllib.parse import quote

from events.errors import ServerRefusedError
from events.log.keys import Keys
from events.server.reply import reply
from events.server.server import Server

_ROUNDS_MAX = 20


def connection_name(keys: Keys, partition: int, group: str, consumer: str = "") -> str:
    """Return the name of a consumer's waiting connection; without *consumer*, its prefix.

    Redis allows no spaces in it.
    """
    parts = (keys.namespace, str(partition), group, consumer)
    return ":".join(["routestream", *(quote(part, safe="") for part in parts)])


async def wake_others(server: Server, keys: Keys, partition: int, member: tuple[str, str]) -> None:
    """End the waits of the group's consumers other than *member*, a group and a consumer.

    A consumer that does not wait at the moment is tried again a few times. An account that may not
    list connections wakes none; the consumers then look by themselves in time.
    """
    group, consumer = member
    prefix = connection_name(keys, partition, group)
    own = connection_name(keys, partition, group, consumer)
    with suppress(ServerRefusedError):
        node = await server.at(keys.events(partition))
        clients = await node.call("CLIENT LIST", "TYPE", "normal")
        names = {client["id"]: client["name"] for client in reply(clients, list[dict[str, str]])}
        waiting = [id_ for id_, name in names.items() if name.startswith(prefix) and name != own]
        for _ in range(_ROUNDS_MAX):
            waiting = [id_ for id_ in waiting if not await node.call("CLIENT UNBLOCK", id_)]
            if not waiting:
                return
