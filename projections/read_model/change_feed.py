"""Read the change feed of a read model, entry by entry."""

from uuid import UUID

import msgspec

from events.entry.entry_id import EntryId
from events.entry.entry_line import RawEntry
from events.errors import DamagedValueError, InvalidPositionError
from events.server.reply import Ask, reply_entries, text, whole_number


class FeedEntry(msgspec.Struct, frozen=True):
    """What one apply changed.

    Attributes:
        previous: The id of the feed's entry before this one, as the apply found it.
        generation: The generation that is live since then.
        changes: Endpoint -> revision, of the documents that changed.
    """

    previous: bytes
    generation: int
    changes: dict[UUID, int]


def feed_entry_of(raw: RawEntry) -> FeedEntry:
    """Read an entry of the feed.

    Raises:
        DamagedValueError: No apply wrote it.
    """
    entry_id, flat = raw
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    try:
        pairs = fields[b"changes"].decode("ascii").split()
        changes = {
            UUID(endpoint): whole_number(revision.encode())
            for endpoint, revision in zip(pairs[::2], pairs[1::2], strict=True)
        }
        return FeedEntry(fields[b"previous"], whole_number(fields[b"generation"]), changes)
    except (KeyError, ValueError, DamagedValueError) as error:
        raise DamagedValueError(
            f"entry {text(entry_id)} of the change feed is no change: {error}"
        ) from None


async def position_after(ask: Ask, feed: str, last_change: bytes) -> bytes:
    """Return the id from which the feed is read on, when *last_change* was its last entry.

    Where that is no id, it is damaged: the feed is read on from where it ends now, and its next
    entry shows by its chain whether one was missed.
    """
    if not last_change:
        return b"0-0"
    try:
        EntryId.parse(last_change)
    except InvalidPositionError:
        newest = reply_entries(await ask("XREVRANGE", feed, "+", "-", "COUNT", 1))
        return newest[0][0] if newest else b"0-0"
    return last_change
