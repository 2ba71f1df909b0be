"""Read the state of any stream from the server, without reading its entries."""

from typing import Self

import msgspec

from events.entry.entry_id import START, EntryId
from events.errors import NoGroupError, ServerRefusedError
from events.server.reply import Ask, reply, text


class StreamState(msgspec.Struct, frozen=True):
    """What the server says about one stream.

    Attributes:
        key: Its key.
        length: Number of entries that are in it.
        first: The oldest of them, None if there is none.
        last: The newest entry that was ever appended, `START` if none was.
        entries_added: Entries that were ever appended, the removed ones too; None if the server
            does not count them, as before Redis 7.
        deleted: The newest entry that was deleted singly, `START` if none was; None if the server
            does not remember it, as before Redis 7.
    """

    key: str | bytes
    length: int
    first: EntryId | None
    last: EntryId
    entries_added: int | None
    deleted: EntryId | None

    @classmethod
    def absent(cls, key: str | bytes) -> Self:
        """Return the state of a stream to which nothing was ever appended."""
        return cls(key=key, length=0, first=None, last=START, entries_added=0, deleted=START)

    @property
    def name(self) -> str:
        """Its key for a person; bytes that are no text are escaped."""
        return text(self.key) if isinstance(self.key, bytes) else self.key

    @property
    def added(self) -> int:
        """Entries that were ever appended.

        Raises:
            ServerRefusedError: The server does not count them.
        """
        if self.entries_added is None:
            raise ServerRefusedError(
                "the server does not tell entries-added: use Redis 7.0 or newer"
            )
        return self.entries_added

    @property
    def removed(self) -> int:
        """Entries that were trimmed or deleted; see `added` for what it raises."""
        return self.added - self.length

    @property
    def is_whole(self) -> bool:
        """Whether every entry that was ever appended is still there, as far as the server knows."""
        return self.entries_added == self.length

    @property
    def is_gapless(self) -> bool:
        """Whether no entry was deleted from its middle, as far as the server knows."""
        return self.deleted == START

    def never_had(self, entry_id: EntryId) -> bool:
        """Whether *entry_id*, if it is not in the stream, was not removed from it either."""
        if self.is_whole or entry_id > self.last:
            return True
        return entry_id > max(self.first or self.last, self.deleted or START)

    def lag_after(self, last_delivered: EntryId, reported: int | None) -> int | None:
        """Return the lag of a group, None if what the server reports leaves a doubt.

        *reported* is the server's own number. It stays too large once entries were trimmed that the
        group had not read, and is missing after others were deleted.
        """
        if last_delivered >= self.last:
            return 0
        if self.first is None or last_delivered < self.first:
            return self.length
        return reported if self.is_whole else None


async def read_stream_state(ask: Ask, key: str | bytes) -> StreamState | None:
    """Return the state of the stream *key*, None if there is no such key.

    Raises:
        WrongTypeError: The key holds something else.
    """
    try:
        raw = await ask("XINFO STREAM", key)
    except NoGroupError:
        return None
    return None if raw is None else stream_state_of(key, raw)


class _Stream(msgspec.Struct, rename="kebab"):
    length: int
    last_generated_id: bytes
    first_entry: tuple[bytes, dict[bytes, bytes]] | None
    entries_added: int | None = None
    max_deleted_entry_id: bytes | None = None


def stream_state_of(key: str | bytes, raw: object) -> StreamState:
    """Return the state of the stream *key* from the reply of XINFO STREAM."""
    about = reply(raw, _Stream)
    first, deleted = about.first_entry, about.max_deleted_entry_id
    return StreamState(
        key=key,
        length=about.length,
        first=None if first is None else EntryId.parse(first[0]),
        last=EntryId.parse(about.last_generated_id),
        entries_added=about.entries_added,
        deleted=None if deleted is None else EntryId.parse(deleted),
    )
