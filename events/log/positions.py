"""The positions of a partition: up to where each holder has read the log for good."""

from events.entry.entry_id import START, EntryId
from events.errors import InvalidPositionError
from events.log.keys import Keys
from events.server.reply import reply, reply_or_none, text
from events.server.server import Server
from events.structured_logger import structured_logger

_log = structured_logger(__name__)


class Positions:
    """The positions that are kept for one partition.

    A holder is `group:NAME`, `archive` or `snapshot:READ-MODEL`. It has read all entries up to its
    position, inclusive, for good: it needs none of them from the log again.
    """

    def __init__(self, server: Server, keys: Keys, partition: int) -> None:
        self._client = server.client
        self._key = keys.positions(partition)
        self._advance = server.client.script("events.log", "advance")

    async def all(self) -> dict[str, EntryId]:
        """Return the position of every holder.

        A position that cannot be read is `START`: until it is mended, all is kept for the holder.
        """
        raw = reply(await self._client.call("HGETALL", self._key), dict[bytes, bytes])
        return {
            text(holder): self._read(text(holder), held) or START for holder, held in raw.items()
        }

    async def of(self, holder: str) -> EntryId | None:
        """Return the position of *holder*, None if it has none, or one that cannot be read."""
        raw = reply_or_none(await self._client.call("HGET", self._key, holder), bytes)
        return None if raw is None else self._read(holder, raw)

    def _read(self, holder: str, raw: bytes) -> EntryId | None:
        try:
            return EntryId.parse(raw)
        except InvalidPositionError as error:
            _log.warning("position_unreadable", key=self._key, holder=holder, error=str(error))
            return None

    async def advance(self, holder: str, entry_id: EntryId) -> bool:
        """Raise the position of *holder*; return whether it was lower. It never goes back."""
        return bool(await self._advance([self._key], [holder, str(entry_id)]))

    async def set_back(self, holder: str, entry_id: EntryId) -> None:
        """Set the position of *holder* to *entry_id*, even if it was further."""
        await self._client.call("HSET", self._key, holder, str(entry_id))

    async def forget(self, holder: str) -> None:
        """Delete the position of *holder*."""
        await self._client.call("HDEL", self._key, holder)


def group_holder(group: str) -> str:
    """Return the name under which the position of *group* is kept."""
    return f"group:{group}"


def snapshot_holder(read_model: str) -> str:
    """Return the name under which the position of the snapshots of *read_model* is kept."""
    return f"snapshot:{read_model}"
