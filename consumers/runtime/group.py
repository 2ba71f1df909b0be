"""The group: a named reader of a partition, with its position kept by Redis and by us."""

from events.entry.entry_id import EntryId
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.reply import reply, reply_or_none
from events.server.server import Server
from events.structured_logger import structured_logger

HANDED_BACK_IDLE_MS = 86_400_000
"""How long an entry seems to have been idle that a consumer hands back."""

_CHUNK = 1_000


class Group:
    """One group in one partition, as one of its consumers uses it.

    Its position is kept twice: by Redis, within the stream, and beside it, for the day on which
    the group is lost with all that Redis knew of it.
    """

    def __init__(self, server: Server, keys: Keys, partition: int, name: str) -> None:
        self.name = name
        self._client = server.client
        self._stream = keys.events(partition)
        self._positions = keys.positions(partition)
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

        It begins where it stood before it was lost, and behind *start* if it never stood anywhere.
        What lies between is read again.
        """
        keys = [self._stream, self._positions]
        raw = await self._begin(keys, [self.name, group_holder(self.name), str(start)])
        behind = reply_or_none(raw, bytes)
        if behind is None:
            return False
        self._log.info("group_created", stream=self._stream, start=behind.decode())
        return True

    async def join(self, consumer: str) -> None:
        """Make *consumer* known, and heard of."""
        await self._join([self._stream], [self.name, consumer])

    async def keep_position(self) -> EntryId:
        """Keep where the group stands, beside the stream; return it."""
        keys = [self._stream, self._positions]
        raw = await self._stand(keys, [self.name, group_holder(self.name)])
        return EntryId.parse(reply(raw, bytes))

    async def prune(self, idle_ms: int) -> None:
        """Remove the consumers with nothing pending that were not seen for *idle_ms*."""
        raw = await self._prune([self._stream], [self.name, idle_ms])
        removed = reply(raw, list[bytes])
        if removed:
            names = [name.decode("utf-8", "replace") for name in removed]
            self._log.info("consumers_pruned", consumers=names)

    async def redate(self) -> None:
        """Let what was delivered before the server's clock was set back be claimed in its time."""
        start: str | None = "-"
        while start is not None:
            raw = await self._redate([self._stream], [self.name, start, _CHUNK])
            last = reply_or_none(raw, bytes)
            start = None if last is None else f"({last.decode()}"

    async def hand_back(self, consumer: str) -> int:
        """Let the others claim at once what is pending with *consumer*; say how much that is."""
        handed, cursor = 0, "-"
        while True:
            args = [self.name, consumer, HANDED_BACK_IDLE_MS, cursor, _CHUNK]
            ids = reply(await self._hand_back([self._stream], args), list[bytes])
            handed += len(ids)
            if len(ids) < _CHUNK:
                return handed
            cursor = f"({ids[-1].decode()}"

    async def leave(self, consumer: str) -> None:
        """Remove *consumer* from the group, unless entries are pending with it."""
        await self._leave([self._stream], [self.name, consumer])
