"""Reads positions and losses, which outlast a stream because Redis keeps them in other keys."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import datetime

import msgspec

from consumers.doctor.server_queries import ServerQueries
from consumers.doctor.stray_values import ValueLocation
from events.entry.entry_id import START, EntryId
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.reply import reply_entries, reply_or_none

HEADS_SAMPLE = 100
"""Endpoints of a partition that are sampled at random."""

LOSSES_READ = 200
"""The newest losses of a partition that are read, to find each group's last one."""

_GROUP = group_holder("")
_DID = {
    "group": "groups had handled entries",
    "archive": "the archive has entries",
    "snapshot": "a snapshot holds entries",
}
"""What the position of a holder says about all entries up to it."""


class Reached(msgspec.Struct, frozen=True):
    """An entry that once existed, and how that is known."""

    entry_id: EntryId
    did: str

    def __str__(self) -> str:
        return f"{self.did} up to {self.entry_id}"


class KeptPositions(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside the stream of one partition.

    Attributes:
        positions: The position of every holder.
        heads: The last event of some endpoints.
        lost: How many entries each group has ever found gone.
        lost_at: When each group last did so, as far back as that is kept.
        noted: Entries noted as trimmed, by group and by the last entry that it was given before.
    """

    positions: Mapping[str, EntryId] = {}
    heads: Mapping[str, EntryId] = {}
    lost: Mapping[str, int] = {}
    lost_at: Mapping[str, datetime] = {}
    noted: Mapping[tuple[str, str], int] = {}

    @property
    def groups(self) -> AbstractSet[str]:
        """The groups that have a kept position here."""
        return {h.removeprefix(_GROUP) for h in self.positions if h.startswith(_GROUP)}

    def reached_beyond(self, last: EntryId) -> Reached | None:
        """Return the newest known entry after *last*, None if there is none.

        A position counts before a head, for the heads are a sample that differs at each look.
        """
        holder = max(self.positions, key=self.positions.__getitem__, default=None)
        if holder is not None and self.positions[holder] > last:
            did = _DID.get(holder.partition(":")[0], f"{holder} stood")
            return Reached(self.positions[holder], did)
        head = max(self.heads.values(), default=START)
        return Reached(head, "entries were appended") if head > last else None


async def read_kept_positions(queries: ServerQueries, keys: Keys, partition: int) -> KeptPositions:
    """Read what is kept beside the stream of *partition*."""
    positions, key = {}, keys.positions(partition)
    for holder, held in await _read_hash(queries, key):
        about = f"position of {holder.removeprefix(_GROUP)}, partition {partition}"
        position = queries.unreadable.entry_id(held, ValueLocation(about, key, holder))
        if position is not None:
            positions[holder] = position
    lost, key = {}, keys.lost(partition)
    for group, held in await _read_hash(queries, key):
        about = f"loss of {group}, partition {partition}"
        lost[group] = queries.unreadable.number(held, ValueLocation(about, key, group)) or 0
    lost_at, noted = await _read_losses(queries, keys, partition)
    return KeptPositions(
        positions=positions,
        heads=await _read_heads(queries, keys, partition),
        lost=lost,
        lost_at=lost_at,
        noted=noted,
    )


async def _read_hash(queries: ServerQueries, key: str) -> list[tuple[str, bytes]]:
    held = reply_or_none(await queries.ask("HGETALL", key), dict[bytes, bytes]) or {}
    return [(field.decode("utf-8", "replace"), value) for field, value in held.items()]


async def _read_heads(queries: ServerQueries, keys: Keys, partition: int) -> dict[str, EntryId]:
    key = keys.heads(partition)
    raw = await queries.ask("HRANDFIELD", key, HEADS_SAMPLE, "WITHVALUES")
    flat = reply_or_none(raw, list[bytes]) or []
    heads = {}
    for name, held in zip(flat[::2], flat[1::2], strict=True):
        endpoint = name.decode("utf-8", "replace")
        to_do = f"redis-cli HSET '{key}' {endpoint} ID, the last of routestream events trace"
        place = ValueLocation(f"heads, partition {partition}", key, endpoint, f"{to_do} {endpoint}")
        head = queries.unreadable.entry_id(held, place)
        if head is not None:
            heads[endpoint] = head
    return heads


async def _read_losses(
    queries: ServerQueries, keys: Keys, partition: int
) -> tuple[dict[str, datetime], Counter[tuple[str, str]]]:
    """Return when each group last found entries gone, and what it noted as trimmed."""
    key = keys.losses(partition)
    newest: dict[str, datetime] = {}
    noted: Counter[tuple[str, str]] = Counter()
    raw = await queries.ask("XREVRANGE", key, "+", "-", "COUNT", LOSSES_READ)
    for _, flat in reply_entries(raw):
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        with suppress(KeyError, ValueError):
            at = datetime.fromisoformat(fields[b"at"].decode("utf-8", "replace"))
            group = fields[b"group"].decode("utf-8", "replace")
            newest.setdefault(group, at)
            if fields[b"why"] == b"trimmed":
                noted[group, fields[b"first"].decode("utf-8", "replace")] += int(fields[b"entries"])
    return newest, noted
