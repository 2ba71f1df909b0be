"""What one process knows of a partition's history: one that lacks it is not gone on with."""

from contextlib import suppress

from events.entry.entry_id import START, EntryId
from events.entry.recorded import entries_of
from events.errors import EventsError, InvalidPositionError
from events.log.keys import Keys
from events.log.partition_identity import (
    MissingHistory,
    PartitionIdentity,
    clear_missing,
    note_missing,
    read_partition_identity,
)
from events.log.positions import group_holder
from events.server.reply import Ask, reply_entries, reply_or_none
from events.streams.stream_state import StreamState, read_stream_state
from projections.errors import HistoryMissingError

_KnownEntry = tuple[EntryId, bytes]
"""An entry that was read, and the id of its event; empty where that is not known."""


class KnownHistory:
    """The log that a process has read in one partition, and how far.

    A server that was flushed, has lost its disk, came back with an older file, or is a replica that
    lagged, has another log, or one that ends before what was read. What was read stays true until
    it is there again, or a person decides to go on without it (`routestream log accept-loss`).

    Attributes:
        identity: The log's identity, None where none is known yet.
        seen: The newest entry that was read, `START` where none was.
        accepted: What the partition says of the last loss that a person accepted, None for none.
    """

    def __init__(self, ask: Ask, keys: Keys, partition: int, group: str) -> None:
        self.identity: str | None = None
        self.seen: EntryId = START
        self._known: _KnownEntry = START, b""
        self._end: EntryId = START
        self._has_looked = False
        self.accepted: str | None = None
        self._ask = ask
        self._keys = keys
        self._partition = partition
        self._group = group

    def note(self, entry_id: EntryId, event_id: bytes = b"") -> None:
        """Remember that *entry_id* was read, and if that is known, which event it is."""
        self.seen = max(self.seen, entry_id)
        if event_id:
            self._known = max(self._known, (entry_id, event_id))

    async def look(self) -> None:
        """Learn what was accepted so far: what is accepted from now on is about what is known.

        Without a server there is nothing to learn, and `check` does it later.
        """
        with suppress(EventsError):
            held = await read_partition_identity(self._ask, self._keys, self._partition)
            if not self._has_looked:
                self._has_looked, self.accepted = True, held.accepted

    async def check(self) -> PartitionIdentity:
        """Compare what is there with what is known, and with what the group noted or kept.

        Returns:
            Which log is there; it is the one that is known from now on.

        Raises:
            HistoryMissingError: What was read is no longer there, and nobody accepted that.
        """
        held = await read_partition_identity(self._ask, self._keys, self._partition)
        kept = await self._kept_position()  # before the stream, which can only grow meanwhile
        key = self._keys.events(self._partition)
        stream = await read_stream_state(self._ask, key) or StreamState.absent(key)
        if not self._has_looked:
            self._has_looked, self.accepted = True, held.accepted
        if held.accepted not in {None, self.accepted}:
            self.seen = self._end = START
            self._known = START, b""
        else:
            noted = held.missing.get(self._group, MissingHistory(""))
            for known in (self.identity, noted.identity):
                self._refuse_another(held, known)
            self._refuse_shorter(stream, max(self.seen, self._end, kept, noted.seen_id))
            entries = dict([(self.seen, b""), noted.known_entry, self._known])
            events = [await self._event_at(stream, *entry) for entry in entries.items()]
            self._known = max(zip(entries, events, strict=True))
        self._end = max(self._end, stream.last)
        self.identity, self.accepted = held.identity, held.accepted
        return held

    async def note_missing(self, cause: str) -> None:
        """Note for everybody that the group waits, and why."""
        held = await read_partition_identity(self._ask, self._keys, self._partition)
        if held.accepted != self.accepted:
            return  # a person has decided meanwhile
        newest, event_id = max(self._known, (self.seen, b""))
        told = event_id.decode("utf-8", "replace")
        missing = MissingHistory(cause, self.identity, str(newest), told)
        if held.missing.get(self._group, missing).cause != cause or not held.missing:
            await note_missing(self._ask, self._keys, self._partition, self._group, missing)

    async def note_found(self) -> None:
        """Take back what the group noted: nothing is missing any more."""
        await clear_missing(self._ask, self._keys, self._partition, self._group)

    async def _kept_position(self) -> EntryId:
        key, holder = self._keys.positions(self._partition), group_holder(self._group)
        held = reply_or_none(await self._ask("HGET", key, holder), bytes)
        try:
            return START if held is None else EntryId.parse(held)
        except InvalidPositionError:
            return START

    def _refuse_another(self, held: PartitionIdentity, known: str | None) -> None:
        if known is None or held.identity == known:
            return
        now = "has none" if held.identity is None else f"is of log {held.identity}"
        raise HistoryMissingError(
            f"partition {self._partition}: the history of log {known} is gone, what the server has"
            f" now {now}"
        )

    def _refuse_shorter(self, stream: StreamState, newest: EntryId) -> None:
        if newest > stream.last:
            ends = "is empty" if stream.last == START else f"ends at {stream.last}"
            raise HistoryMissingError(
                f"partition {self._partition}: the log {ends} although entries up to {newest} had"
                " been read"
            )

    async def _event_at(self, stream: StreamState, entry_id: EntryId, event_id: bytes) -> bytes:
        """Return which event an entry is that was read: *event_id*, if that is known.

        Ids of entries alone do not tell one history from another: two masters that take appends at
        the same time give the same ids to other events.

        Raises:
            HistoryMissingError: It is another event, or the log never had it.
        """
        if entry_id == START:
            return b""
        raw = await self._ask("XRANGE", stream.key, str(entry_id), str(entry_id))
        found = entries_of(reply_entries(raw), self._partition)
        if found and event_id in {b"", found[0].event_id}:
            return found[0].event_id
        if not found and not stream.never_had(entry_id):
            return event_id
        now = "is another event now" if found else "is not in the log and was not trimmed"
        raise HistoryMissingError(
            f"partition {self._partition}: entry {entry_id}, which had been read, {now}:"
            " what is there is another history"
        )
