"""The group: a named reader of a partition, with its position kept by Redis."""

import structlog

from events.entry_id import EntryId
from events.errors import ServerRefusedError
from events.keys import Keys
from events.server import Server

_log = structlog.get_logger()


class Group:
    """One group in one partition, as one of its consumers uses it."""

    def __init__(self, server: Server, keys: Keys, partition: int, name: str) -> None:
        self.name = name
        self._client = server.client
        self._stream = keys.events(partition)
        self._leave = server.client.script("consumers", "leave")

    async def ensure(self, start: EntryId) -> bool:
        """Create the group behind *start* unless it exists; say whether it was created."""
        create = ("XGROUP", "CREATE", self._stream, self.name, str(start), "MKSTREAM")
        try:
            await self._client.call(*create)
        except ServerRefusedError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
            return False
        _log.info("group_created", group=self.name, stream=self._stream, start=str(start))
        return True

    async def join(self, consumer: str) -> None:
        """Make *consumer* known: before Redis 7.2 a read that finds nothing does not."""
        await self._client.call("XGROUP", "CREATECONSUMER", self._stream, self.name, consumer)

    async def leave(self, consumer: str) -> None:
        """Remove *consumer* from the group, unless entries are pending with it."""
        await self._leave([self._stream], [self.name, consumer])
