"""Creates a group in a partition, keeps its position, and manages its consumers."""

from events.entry.entry_id import EntryId
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.reply import reply, reply_or_none
from events.server.server import Server
from events.structured_logger import structured_logger

HANDED_BACK_IDLE_MS = 86_400_000
"""The idle time given to an entry that a consumer hands back, so that others claim it at once."""

_CHUNK = 1_000


class Group:
    """One group in one partition, as one of its consumers uses it.

    Its position is kept twice: by Redis, within the stream, and in a key of its own, from which the
    group is created again if Redis loses it.
    """

    def __init__(self, server: Server, keys: Keys, partition: int, name: str) -> None:
        self.name = name
        self._client = server.client
        self._stream = keys.events(partition)
        self._positions = keys.positions(partition)
        self._delivered = keys.delivered(partition, name)
        self._begin = server.client.script("consumers.runtime", "begin")
        self._stand = server.client.script("consumers.runtime", "stand")
        self._hand_back = server.client.script("consumers.runtime", "hand_back")
        self._join = server.client.script("consumers.runtime", "join")
        self._leave = server.client.script("consumers.runtime", "leave")
        self._prune = server.client.script("consumers.runtime", "prune")
        self._redate = server.client.script("consumers.runtime", "redate")
        self._log = structured_logger(__name__).bind(group=name, partition=partition)

    async def ensure(self, start: EntryId) -> bool:
        """Create the group unless it exists; say whether it was created.

        A lost group begins at its kept position; one that has none begins after *start*. The
        entries between its kept and its last position are read again.
        """
        keys = [self._stream, self._positions, self._delivered]
        raw = await self._begin(keys, [self.name, group_holder(self.name), str(start)])
        start_id = reply_or_none(raw, bytes)
        if start_id is None:
            return False
        self._log.info("group_created", stream=self._stream, start=start_id.decode())
        return True

    async def join(self, consumer: str) -> None:
        """Register *consumer* and refresh its idle time."""
        await self._join([self._stream], [self.name, consumer])

    async def keep_position(self) -> EntryId:
        """Keep the group's position outside the stream, and return it."""
        keys = [self._stream, self._positions]
        raw = await self._stand(keys, [self.name, group_holder(self.name)])
        return EntryId.parse(reply(raw, bytes))

    async def prune(self, idle_ms: int) -> None:
        """Remove the consumers that have nothing pending and have been idle for *idle_ms*."""
        raw = await self._prune([self._stream], [self.name, idle_ms])
        removed = reply(raw, list[bytes])
        if removed:
            names = [name.decode("utf-8", "replace") for name in removed]
            self._log.info("consumers_pruned", consumers=names)

    async def redate(self) -> None:
        """Reset idle times that a backward clock step left in the future."""
        start: str | None = "-"
        while start is not None:
            raw = await self._redate([self._stream], [self.name, start, _CHUNK])
            last = reply_or_none(raw, bytes)
            start = None if last is None else f"({last.decode()}"

    async def hand_back(self, consumer: str) -> int:
        """Let others claim the pending entries of *consumer* at once; return their number."""
        handed_back, cursor = 0, "-"
        while True:
            args = [self.name, consumer, HANDED_BACK_IDLE_MS, cursor, _CHUNK]
            ids = reply(await self._hand_back([self._stream], args), list[bytes])
            handed_back += len(ids)
            if len(ids) < _CHUNK:
                return handed_back
            cursor = f"({ids[-1].decode()}"

    async def leave(self, consumer: str) -> None:
        """Remove *consumer* from the group, unless entries are pending with it."""
        await self._leave([self._stream], [self.name, consumer])
