"""Dead letters: the entries that a group has given up on."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import msgspec

from consumers.delivery import Delivery
from consumers.outcome import DeadLetter
from events.entry_id import EntryId
from events.keys import Keys
from events.log import entries_of
from events.recorded import Entry
from events.server import Server

_PREFIX = b"dead_"
_READ_COUNT = 500
_ERROR_CHARACTERS_MAX = 2_000


class DeadEntry(msgspec.Struct, frozen=True):
    """One dead letter: the original entry, and why and when it was given up on."""

    dead_id: EntryId
    original: Entry
    reason: str
    error: str
    deliveries: int
    consumer: str
    first_at: datetime
    last_at: datetime


class DeadLetters:
    """The dead letters of one group in one partition."""

    def __init__(self, server: Server, keys: Keys, partition: int, group: str) -> None:
        self._client = server.client
        self._stream = keys.events(partition)
        self._dead = keys.dead(partition, group)
        self._partition = partition
        self._group = group
        self._move = server.client.script("consumers", "dead_letter")

    async def move(self, delivery: Delivery, outcome: DeadLetter, consumer: str) -> bool:
        """Move the entry here; say whether it still was pending."""
        now = datetime.now(UTC).isoformat()
        first = datetime.fromtimestamp(delivery.entry_id.ms / 1_000, UTC).isoformat()
        about = {
            "entry_id": str(delivery.entry_id),
            "reason": outcome.reason,
            "error": outcome.error[:_ERROR_CHARACTERS_MAX],
            "deliveries": str(delivery.deliveries),
            "consumer": consumer,
            "first_at": first,
            "last_at": now,
        }
        fields = [
            part for name, value in about.items() for part in (_PREFIX + name.encode(), value)
        ]
        original = [part for field in delivery.entry.fields.items() for part in field]
        args = [self._group, str(delivery.entry_id), *fields, *original]
        return await self._move([self._stream, self._dead], args) is not None

    async def read(self) -> AsyncGenerator[DeadEntry]:
        """Yield the dead letters, oldest first."""
        start = "-"
        while True:
            raw = await self._client.call("XRANGE", self._dead, start, "+", "COUNT", _READ_COUNT)
            for entry in entries_of(raw, self._partition):
                yield _dead_entry(entry)
            if len(raw) < _READ_COUNT:
                return
            start = f"({raw[-1][0].decode()}"


def _dead_entry(entry: Entry) -> DeadEntry:
    about = {
        name.removeprefix(_PREFIX): value.decode("utf-8", "replace")
        for name, value in entry.fields.items()
        if name.startswith(_PREFIX)
    }
    original = {n: value for n, value in entry.fields.items() if not n.startswith(_PREFIX)}
    return DeadEntry(
        dead_id=entry.entry_id,
        original=Entry(EntryId.parse(about[b"entry_id"]), entry.partition, original),
        reason=about[b"reason"],
        error=about[b"error"],
        deliveries=int(about[b"deliveries"]),
        consumer=about[b"consumer"],
        first_at=datetime.fromisoformat(about[b"first_at"]),
        last_at=datetime.fromisoformat(about[b"last_at"]),
    )
