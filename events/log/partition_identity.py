"""Which log a partition belongs to, and what its groups found missing of its history."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from events.entry.entry_id import START, EntryId
from events.errors import InvalidPositionError
from events.log.keys import Keys
from events.log.layout import identity_in
from events.server.reply import Ask, reply_or_none

MISSING = "missing:"
"""Fields of the identity that begin so hold what a group found missing."""


class MissingHistory(msgspec.Struct, frozen=True):
    """What a group found missing of a partition's history; it waits until it is there again.

    Attributes:
        cause: What was found, as a sentence.
        identity: The log that was read, None where that is not known.
        seen: The newest entry that was read of it, `0-0` for none.
        event_id: The id of the event that this entry was, "" where that is not known.
        at: When it was found missing, RFC 3339.
    """

    cause: str
    identity: str | None = None
    seen: str = str(START)
    event_id: str = ""
    at: str = ""

    @property
    def seen_id(self) -> EntryId:
        """The newest entry as an entry id, `START` where the value is none."""
        try:
            return EntryId.parse(self.seen)
        except InvalidPositionError:
            return START

    @property
    def known_entry(self) -> tuple[EntryId, bytes]:
        """That entry, and the id of its event; empty where that is not known."""
        return self.seen_id, self.event_id.encode()


class PartitionIdentity(msgspec.Struct, frozen=True):
    """Which log a partition belongs to.

    Attributes:
        identity: The log's identity, None where the partition has none.
        accepted: Changes when a person decides to go on without what is missing; None: nobody did.
        missing: Group -> what it found missing.
    """

    identity: str | None = None
    accepted: str | None = None
    missing: Mapping[str, MissingHistory] = {}


async def read_partition_identity(ask: Ask, keys: Keys, partition: int) -> PartitionIdentity:
    """Return which log *partition* belongs to.

    Raises:
        LayoutError: The identity is not one.
    """
    key = keys.identity(partition)
    held = reply_or_none(await ask("HGETALL", key), dict[bytes, bytes]) or {}
    accepted = held.get(b"accepted")
    return PartitionIdentity(
        identity=identity_in(held.get(b"identity"), key),
        accepted=None if accepted is None else accepted.decode("utf-8", "replace"),
        missing={
            name.decode("utf-8", "replace").removeprefix(MISSING): _missing_in(value)
            for name, value in held.items()
            if name.startswith(MISSING.encode())
        },
    )


async def note_missing(
    ask: Ask, keys: Keys, partition: int, group: str, missing: MissingHistory
) -> None:
    """Note for everybody what *group* found missing; it applies nothing while that stands there."""
    noted = msgspec.structs.replace(missing, at=datetime.now(UTC).isoformat(timespec="seconds"))
    value = msgspec.json.encode(noted)
    await ask("HSET", keys.identity(partition), f"{MISSING}{group}", value)


async def clear_missing(ask: Ask, keys: Keys, partition: int, group: str) -> None:
    """Take back what *group* found missing: it is there again."""
    await ask("HDEL", keys.identity(partition), f"{MISSING}{group}")


def _missing_in(value: bytes) -> MissingHistory:
    try:
        return msgspec.json.decode(value, type=MissingHistory)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return MissingHistory("its group noted something that cannot be read")
