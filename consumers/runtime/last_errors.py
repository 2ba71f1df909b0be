"""Keeps the error of the last failed try of each pending entry of a group."""

from collections.abc import Sequence

from events.entry.entry_id import EntryId
from events.log.keys import Keys
from events.server.reply import reply
from events.server.server import Server

CHARACTERS_MAX = 200
"""Characters kept of one error; the consumer's log has all of it."""

_CHUNK = 1_000


class LastErrors:
    """The last errors of one group in one partition; each is deleted when its entry ends."""

    def __init__(self, server: Server, keys: Keys, partition: int, group: str) -> None:
        self._client = server.client
        self._group = group
        self._keys = [keys.events(partition), keys.errors(partition, group)]
        self._keep = server.client.script("consumers.runtime", "keep_errors")

    async def keep(self, errors: Sequence[tuple[EntryId, str]]) -> None:
        """Keep the error of each entry that is still pending."""
        for at in range(0, len(errors), _CHUNK):
            args = [self._group]
            for entry_id, error in errors[at : at + _CHUNK]:
                args += (str(entry_id), shortened(error))
            await self._keep(self._keys, args)

    async def of(self, entry_ids: Sequence[EntryId]) -> dict[EntryId, str]:
        """Return the errors that are kept for *entry_ids*."""
        found: dict[EntryId, str] = {}
        for at in range(0, len(entry_ids), _CHUNK):
            chunk = entry_ids[at : at + _CHUNK]
            raw = await self._client.call("HMGET", self._keys[1], *map(str, chunk))
            found |= {
                entry_id: error.decode("utf-8", "replace")
                for entry_id, error in zip(chunk, reply(raw, list[bytes | None]), strict=True)
                if error is not None
            }
        return found


def shortened(error: str) -> str:
    """Return *error* on one line of at most `CHARACTERS_MAX` characters."""
    return " ".join(error.split())[:CHARACTERS_MAX]
