"""Keeps and reads dead letters: the entries that a group has given up on."""

from collections.abc import AsyncGenerator, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from consumers.runtime.outcome import DeadLetter, Delivery
from events.entry.entry_id import START, EntryId
from events.entry.position import time_of
from events.entry.recorded import Entry, entries_of
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.reply import reply_entries
from events.server.server import Server

FIELDS_MAX = 1_000
"""Fields of an entry that its dead letter keeps: a script can pass a few thousand arguments."""

UNREADABLE = "unreadable"
"""The reason given for a stray value: it lies among the dead letters, but is none."""

SEARCHED_MAX = 100_000
"""Dead letters of a group and partition that are searched for selected ones."""

_CLOCK_STEP_MS = 3_600_000
_ABOUT = ("entry_id", "reason", "error", "deliveries", "consumer", "first_at", "last_at")
_PREFIX = "dead_"
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
        self._errors = keys.errors(partition, group)
        self._positions = keys.positions(partition)
        self._partition = partition
        self._group = group
        self._move = server.client.script("consumers.runtime", "dead_letter")

    async def move(self, delivery: Delivery, outcome: DeadLetter, consumer: str) -> bool:
        """Move the entry to the dead letters; return whether it was still pending."""
        args: list[str | bytes] = [self._group, group_holder(self._group), str(delivery.entry_id)]
        args += letter_of(delivery, outcome, consumer)
        keys = [self._stream, self._dead, self._errors, self._positions]
        return await self._move(keys, args) is not None

    async def read(self, since: str = "-", until: str = "+") -> AsyncGenerator[DeadEntry]:
        """Yield the dead letters, oldest first, including those that another program wrote.

        *since* and *until* are ids of dead letters as Redis takes them; an id holds the time at
        which its entry was given up on.
        """
        start = since
        while True:
            raw = reply_entries(
                await self._client.call("XRANGE", self._dead, start, until, "COUNT", _READ_COUNT)
            )
            for letter in _letters(raw, self._partition):
                yield letter
            if len(raw) < _READ_COUNT:
                return
            start = f"({raw[-1][0].decode()}"

    async def of_entry(self, entry_id: EntryId) -> DeadEntry | None:
        """Return the newest dead letter of the entry, None if the newest `SEARCHED_MAX` have none.

        Those given up on long before the entry was appended are not searched.
        """
        end, searched, since_ms = "+", 0, 0
        while searched < SEARCHED_MAX:
            raw = reply_entries(
                await self._client.call("XREVRANGE", self._dead, end, "-", "COUNT", _READ_COUNT)
            )
            letters = list(_letters(raw, self._partition))
            if not searched and letters and entry_id.ms <= letters[0].dead_id.ms:
                since_ms = entry_id.ms - _CLOCK_STEP_MS
            for letter in letters:
                if letter.original.entry_id == entry_id and letter.reason != UNREADABLE:
                    return letter
            if len(letters) < _READ_COUNT or letters[-1].dead_id.ms < since_ms:
                return None
            searched += len(letters)
            end = f"({letters[-1].dead_id}"
        return None

    async def newest(self, count: int) -> list[DeadEntry]:
        """Return the newest *count* dead letters, oldest first, without reading the others."""
        raw = await self._client.call("XREVRANGE", self._dead, "+", "-", "COUNT", count)
        return list(_letters(reversed(reply_entries(raw)), self._partition))


def letter_of(delivery: Delivery, outcome: DeadLetter, consumer: str) -> list[str | bytes]:
    """Return fields and values of the dead letter that *consumer* makes of a delivery."""
    fields = list(delivery.entry.pairs)
    error = outcome.error[:_ERROR_CHARACTERS_MAX]
    if delivery.entry.oversized_bytes:
        error += f" (only its short fields are kept here: events show {delivery.entry_id} --raw)"
    if len(fields) > FIELDS_MAX:
        error += f" (the first {FIELDS_MAX} of {len(fields)} fields are kept here)"
    about = (
        str(delivery.entry_id),
        outcome.reason,
        error,
        str(delivery.deliveries),
        consumer,
        time_of(delivery.entry_id).isoformat(),
        datetime.now(UTC).isoformat(),
    )
    strings: list[str | bytes] = []
    for name, value in zip(_ABOUT, about, strict=True):
        strings += (_PREFIX + name, value)
    for field in fields[:FIELDS_MAX]:
        strings += field
    return strings


def _letters(raw: Iterable[Any], partition: int) -> Iterator[DeadEntry]:
    for dead_id, strings in raw:
        try:
            yield _dead_entry(dead_id, strings, partition)
        except (ValueError, KeyError) as error:
            yield _foreign(dead_id, strings, partition, str(error))


def _foreign(dead_id: bytes, strings: list[Any], partition: int, why: str) -> DeadEntry:
    """Return a stray value as a dead letter without an entry, to be looked at and dropped."""
    [written] = entries_of([(dead_id, strings)], partition)
    at = time_of(written.entry_id)
    return DeadEntry(
        dead_id=written.entry_id,
        original=msgspec.structs.replace(written, entry_id=START),
        reason=UNREADABLE,
        error=f"it is no dead letter that routestream wrote: {why}",
        deliveries=0,
        consumer="",
        first_at=at,
        last_at=at,
    )


def _dead_entry(dead_id: bytes, strings: list[Any], partition: int) -> DeadEntry:
    """Read our own fields first; the original fields follow, and may have the same names."""
    at = 2 * len(_ABOUT)
    values = (value.decode("utf-8", "replace") for value in strings[1:at:2])
    about = dict(zip(_ABOUT, values, strict=True))
    [original] = entries_of([(about["entry_id"], strings[at:])], partition)
    return DeadEntry(
        dead_id=EntryId.parse(dead_id),
        original=original,
        reason=about["reason"],
        error=about["error"],
        deliveries=int(about["deliveries"]),
        consumer=about["consumer"],
        first_at=_time(about["first_at"]),
        last_at=_time(about["last_at"]),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return time
