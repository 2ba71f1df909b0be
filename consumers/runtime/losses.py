"""Notes the entries that a group found gone, each loss once, and counts them for good."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

import msgspec

from events.entry.entry_id import EntryId
from events.errors import DamagedValueError
from events.log.keys import Keys
from events.server.reply import reply, reply_entries, reply_or_none, whole_number
from events.server.server import Server
from events.structured_logger import structured_logger

KEPT_MAX = 1_000
"""Losses that are kept, approximately; the total counts older ones, too."""

_SHOWN_MAX = 10

Why = Literal["trimmed", "deleted", "rewound"]
"""Trimmed before it was read; deleted while it was pending; gone with an older history."""

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
    """

    group: str
    why: Why
    entries: int
    first: EntryId
    last: EntryId
    at: datetime


class Losses:
    """The losses of one group in one partition."""

    def __init__(self, server: Server, keys: Keys, partition: int, group: str) -> None:
        self._client = server.client
        self._stream = keys.events(partition)
        self._losses = keys.losses(partition)
        self._lost = keys.lost(partition)
        self._partition = partition
        self._group = group
        self._gap = server.client.script("consumers.runtime", "gap")
        self._lose = server.client.script("consumers.runtime", "lose")

    async def look(self, consumer: str) -> None:
        """Note entries trimmed before the group had read them; refresh *consumer*'s idle time.

        They can be found only until the group reads on: call this before a read that may do so.

        Raises:
            NoGroupError: The group is not there.
        """
        gap = await self._gap([self._stream], [self._group, consumer])
        if gap:
            entries, delivered, first = reply(gap, tuple[int, bytes, bytes])
            # Where Redis cannot tell how many were trimmed, there was at least one.
            await self._note("trimmed", EntryId.parse(delivered), EntryId.parse(first), entries)

    async def note(self, why: Why, entry_ids: Sequence[EntryId]) -> None:
        """Note that *entry_ids*, in ascending order, are gone."""
        await self._note(why, entry_ids[0], entry_ids[-1], len(entry_ids), entry_ids)

    async def _note(
        self,
        why: Why,
        first: EntryId,
        last: EntryId,
        entries: int,
        entry_ids: Sequence[EntryId] = (),
    ) -> None:
        at = datetime.now(UTC).isoformat()
        about = [self._group, why, str(first), str(last), max(1, entries), at]
        noted = reply(await self._lose([self._losses, self._lost], [KEPT_MAX, *about]), int)
        if noted:
            _log.error(
                "history_lost",
                group=self._group,
                partition=self._partition,
                why=why,
                entries=noted if entries > 0 else f"{noted} at least",
                first=str(first),
                last=str(last),
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
        for _, flat in reply_entries(raw):
            with suppress(KeyError, ValueError, msgspec.ValidationError):  # another program's
                found.append(_loss(dict(zip(flat[::2], flat[1::2], strict=True))))
        return [loss for loss in found if loss.group == self._group]


def noted_count(raw: bytes | None) -> int:
    """Return how many entries are noted as lost; 0 where the count is damaged, as doctor tells."""
    try:
        return whole_number(raw or b"0")
    except DamagedValueError:
        return 0


def _loss(about: dict[bytes, bytes]) -> Loss:
    strings = {name.decode(): value.decode() for name, value in about.items()}
    return Loss(
        group=strings["group"],
        why=msgspec.convert(strings["why"], Why),
        entries=int(strings["entries"]),
        first=EntryId.parse(strings["first"]),
        last=EntryId.parse(strings["last"]),
        at=datetime.fromisoformat(strings["at"]),
    )
