"""Notes the entries that a group found gone, each loss once, and counts them for good."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

import msgspec

from events.entry.entry_id import START, EntryId
from events.errors import DamagedValueError
from events.log.keys import Keys
from events.server.reply import reply, reply_entries, reply_or_none, whole_number
from events.server.server import Server
from events.structured_logger import structured_logger

KEPT_MAX = 1_000
"""Losses that are kept, approximately; the total counts older ones, too."""

_SHOWN_MAX = 10

Why = Literal["trimmed", "deleted", "rewound", "passed over", "dropped"]
"""Why entries are lost to a group.

Trimmed: before it was given them. Deleted: singly, before it had ended them. Rewound: gone with a
history that the server no longer has. Passed over: somebody moved the group. Dropped: no longer
pending although no consumer ended them: somebody acknowledged them, or deleted their consumer.
"""

By = Literal["consumer", "group"]
"""Whether a loss counts what one consumer was given, or what all of the group were."""

_log = structured_logger(__name__)


class Loss(msgspec.Struct, frozen=True):
    """Entries of a partition that a group will not get (again).

    Attributes:
        group: The group that found them gone.
        why: What became of them.
        entries: How many there are.
        first: The first of them; if they were trimmed, the last entry delivered before them.
        last: The last of them; if they were trimmed, the first entry left after them.
        at: When the loss was found.
        is_least: Whether there may be more of them.
        by: Whose entries were counted.
        noted_id: Its id among the losses of the partition.
    """

    group: str
    why: Why
    entries: int
    first: EntryId
    last: EntryId
    at: datetime
    is_least: bool = False
    by: By = "group"
    noted_id: EntryId = START

    @property
    def shown_entries(self) -> str:
        """How many there are, as a person reads it."""
        return f"{self.entries} at least" if self.is_least else str(self.entries)


class Losses:
    """The losses of one group in one partition."""

    def __init__(self, server: Server, keys: Keys, partition: int, group: str) -> None:
        self._client = server.client
        self._losses = keys.losses(partition)
        self._lost = keys.lost(partition)
        self._partition = partition
        self._group = group
        self._lose = server.client.script("consumers.runtime", "lose")

    async def note(self, why: Why, entry_ids: Sequence[EntryId], *, is_least: bool = False) -> None:
        """Note that *entry_ids*, in ascending order, which one consumer was given, are gone.

        *is_least* says that others of the group may have been given more, and not live to tell.
        """
        now, ends = datetime.now(UTC), (entry_ids[0], entry_ids[-1])
        count = len(entry_ids)
        loss = Loss(self._group, why, count, *ends, now, is_least=is_least, by="consumer")
        await self.note_loss(loss, entry_ids)

    async def note_loss(self, loss: Loss, entry_ids: Sequence[EntryId] = ()) -> None:
        """Note *loss*, as far as it is not noted yet."""
        counted = "least" if loss.is_least else "exactly"
        about = [loss.why, str(loss.first), str(loss.last), loss.entries, counted, loss.by]
        args = [KEPT_MAX, self._group, *about, loss.at.isoformat(), *map(str, entry_ids)]
        noted = reply(await self._lose([self._losses, self._lost], args), int)
        if noted:
            self.tell(msgspec.structs.replace(loss, entries=noted), entry_ids)

    def tell(self, loss: Loss, entry_ids: Sequence[EntryId] = ()) -> None:
        """Log *loss*, which was noted now."""
        _log.error(
            "history_lost",
            group=self._group,
            partition=self._partition,
            why=loss.why,
            entries=loss.shown_entries if loss.is_least else loss.entries,
            first=str(loss.first),
            last=str(loss.last),
            entry_ids=[str(entry_id) for entry_id in entry_ids[:_SHOWN_MAX]],
        )

    async def total(self) -> int:
        """Return how many entries the group has ever found gone."""
        raw = await self._client.call("HGET", self._lost, self._group)
        return noted_count(reply_or_none(raw, bytes))

    async def read(self) -> list[Loss]:
        """Return the group's losses that are kept, oldest first."""
        raw = await self._client.call("XRANGE", self._losses, "-", "+", "COUNT", 2 * KEPT_MAX)
        found = []
        for noted_id, flat in reply_entries(raw):
            with suppress(KeyError, ValueError, msgspec.ValidationError):  # another program's
                about = dict(zip(flat[::2], flat[1::2], strict=True))
                found.append(_loss(about, EntryId.parse(noted_id)))
        return [loss for loss in found if loss.group == self._group]


def noted_count(raw: bytes | None) -> int:
    """Return how many entries are noted as lost; 0 where the count is damaged, as doctor tells."""
    try:
        return whole_number(raw or b"0")
    except DamagedValueError:
        return 0


def _loss(about: dict[bytes, bytes], noted_id: EntryId) -> Loss:
    strings = {name.decode(): value.decode() for name, value in about.items()}
    return Loss(
        group=strings["group"],
        why=msgspec.convert(strings["why"], Why),
        entries=int(strings["entries"]),
        first=EntryId.parse(strings["first"]),
        last=EntryId.parse(strings["last"]),
        at=datetime.fromisoformat(strings["at"]),
        is_least=strings.get("counted") == "least",
        by=msgspec.convert(strings.get("by", "group"), By),
        noted_id=noted_id,
    )
