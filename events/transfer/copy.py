"""Add entries of another log to a log as they were, and count them in heads and event ids."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

import anyio
import msgspec

from events.entry.codec import subject_in
from events.entry.entry_id import EntryId
from events.errors import EventsError, ServerUnavailableError
from events.log.log import EventLog
from events.server.backoff import Backoff
from events.server.reply import reply
from events.structured_logger import structured_logger

BATCH_ENTRIES_MAX = 500
BATCH_BYTES_MAX = 1_048_576
"""Limit of one script call, during which the server serves no other client."""

STRINGS_MAX = 7_000
"""Names and values of one entry: a script can pass no more to one command."""

TRIES_MAX = 6
_BETWEEN_TRIES = Backoff(first_s=0.05, most_s=1.0)
_NEW = "*"

_EVENT_ID_BYTES = len(str(UUID(int=0)))

_log = structured_logger(__name__)


class MovedError(EventsError):
    """Another program appends to the log that is copied into."""


class Copied(msgspec.Struct, frozen=True, gc=False):
    """An entry to add: its strings, and its id; None: the server gives it a new one."""

    strings: Sequence[bytes]
    entry_id: EntryId | None = None


def endpoint_of(strings: Sequence[bytes]) -> UUID | None:
    """Return the endpoint that the entry's payload names, None if it names none."""
    fields = dict(zip(strings[::2], strings[1::2], strict=True))
    return subject_in(fields.get(b"payload", b""))


def size_of(strings: Sequence[bytes]) -> int:
    """Return the bytes of the entry's names and values."""
    return sum(map(len, strings))


class Copy:
    """Adds entries to the partitions of one log."""

    def __init__(self, log: EventLog) -> None:
        self._keys = log.keys
        self._script = log.server.client.script("events.transfer", "copy")

    async def add(self, partition: int, entries: Sequence[Copied]) -> EntryId:
        """Add entries with new ids, in one try; return the last id.

        Raises:
            ServerUnavailableError: No reply came; they may or may not have been added.
        """
        raw = await self._script(*self._words(partition, entries, "", {}))
        _, last = reply(raw, tuple[bytes, bytes])
        return EntryId.parse(last)

    async def add_after(
        self,
        partition: int,
        last: EntryId,
        entries: Sequence[Copied],
        copied: Mapping[int, EntryId] = MappingProxyType({}),
    ) -> EntryId:
        """Add entries with their own ids after *last*, the partition's last id; return the new one.

        *copied* says up to where the partitions of the source are in this partition with them; it
        is kept in the same step. Without a reply it tries again: the server's last id shows whether
        they were added.

        Raises:
            MovedError: The partition's last id is another one; nothing was added.
            ServerUnavailableError: No try was answered; importing again continues where it was.
        """
        wanted = entries[-1].entry_id
        words = self._words(partition, entries, str(last), copied)
        for tries, delay_s in enumerate(_BETWEEN_TRIES.delays(), start=1):
            try:
                outcome, now = reply(await self._script(*words), tuple[bytes, bytes])
            except ServerUnavailableError as error:
                _log.warning("copy_unanswered", partition=partition, tries=tries, error=str(error))
                if tries == TRIES_MAX:
                    raise
            else:
                at = EntryId.parse(now)
                if outcome == b"moved" and (copied or at != wanted):
                    raise MovedError(
                        f"partition {partition} of {self._keys.namespace!r} is at {at}, not at"
                        f" {last}: somebody appends to it; stop them and run this again"
                    )
                return at
            await anyio.sleep(delay_s)
        raise AssertionError("the delays never end")

    def _words(
        self,
        partition: int,
        entries: Sequence[Copied],
        last: str,
        copied: Mapping[int, EntryId],
    ) -> tuple[list[str], list[Any]]:
        args: list[Any] = [last, len(entries), len(copied)]
        args += [word for source, at in copied.items() for word in (source, str(at))]
        for entry in entries:
            endpoint = endpoint_of(entry.strings)
            args += [
                _NEW if entry.entry_id is None else str(entry.entry_id),
                "" if endpoint is None else str(endpoint),
                _event_id_of(entry.strings),
                len(entry.strings),
                *entry.strings,
            ]
        return [*self._keys.of_append(partition), self._keys.copied(partition)], args


def _event_id_of(strings: Sequence[bytes]) -> bytes:
    """Return the event id of the entry, `b""` if it has none that an append could have."""
    given = dict(zip(strings[::2], strings[1::2], strict=True)).get(b"id", b"")
    return given if len(given) == _EVENT_ID_BYTES else b""
