"""Keep a translation at the state of our own log, to which others append as well."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import msgspec

from events.catalogue.event import Event
from events.entry.entry_id import START, EntryId
from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.protocol import readable
from events.streams.stream_state import StreamState, read_stream_state
from producers.backend_ai.handoff_key import HandoffValues
from producers.backend_ai.translation import Translated, Translation
from producers.endpoints.endpoint_state import applied_below
from projections.errors import ProjectionsError
from projections.read_model.store import ReadModelStore
from projections.route_table.route_table import ROUTE_TABLE


class _Read(msgspec.Struct, frozen=True):
    """Up to where a partition was read, and how many entries had ever been appended then."""

    up_to: EntryId
    added: int

    def is_cut_off(self, stream: StreamState) -> bool:
        """Whether the log went back, or lost entries that came after those that were read."""
        if stream.last < self.up_to or stream.added < self.added:
            return True
        is_kept = stream.first is not None and stream.first <= self.up_to
        return not is_kept and stream.added - self.added != stream.length


class LogTranslation:
    """Translates entries on the state of a log, and appends to it what they lead to.

    The state begins with the documents of the route table, where there are some, and follows the
    log from there. It is read again from the beginning if the log went back, or was trimmed beyond
    what was read of it.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._translation = Translation()
        self._read: dict[int, _Read] = {}

    async def endpoint_of(self, session_id: UUID) -> UUID | None:
        """Return the endpoint one of whose routes has the session, None if no route has it."""
        if (found := self._translation.endpoint_of(session_id)) is None:
            for partition in range(self._log.partitions):
                await self._catch_up(partition)
            found = self._translation.endpoint_of(session_id)
        return found

    async def head(self, endpoint_id: UUID) -> EntryId:
        """Return the endpoint's head, and bring the state up to it at least."""
        head = await self._log.endpoint_head(endpoint_id)
        await self._catch_up(partition_of(endpoint_id, self._log.partitions))
        return head

    def translate(
        self, fields: Mapping[bytes, bytes], observed_at: datetime, values: HandoffValues
    ) -> Translated:
        """Return what the entry leads to; see `Translation.translate_entry`."""
        return self._translation.translate_entry(fields, observed_at, values)

    async def append(
        self, events: Sequence[Event], event_ids: Sequence[UUID], head: EntryId
    ) -> None:
        """Append the events of one entry, unless the endpoint is no longer at *head*.

        They are folded when they are read back: an event that the log has already is not added.

        Raises:
            ConflictError: The endpoint has newer events; translate the entry again.
        """
        await self._log.append(*events, event_ids=event_ids, expected=head)

    async def _catch_up(self, partition: int) -> None:
        """Fold what the partition has and the state lacks."""
        key = self._log.keys.events(partition)
        stream = await read_stream_state(self._log.server.client.call, key)
        stream = stream or StreamState.absent(key)
        read = self._read.get(partition)
        if read is not None and read.is_cut_off(stream):
            self._translation, self._read = Translation(), {}
            read = None
        at = await self._begin(partition) if read is None else read.up_to
        if at < stream.last:
            async for entries in self._log.read_entries(partition, at.after(), stream.last):
                for recorded in filter(None, map(readable, entries)):
                    with suppress(ProjectionsError):
                        self._translation.evolve(recorded)
        self._read[partition] = _Read(stream.last, stream.added)

    async def _begin(self, partition: int) -> EntryId:
        """Take the documents over; return the entry up to which they hold everything."""
        floor = await applied_below(self._log, partition)
        store = ReadModelStore(self._log.server, self._log.keys, ROUTE_TABLE, partition)
        generation = await store.live_generation()
        read = START
        if generation is not None:
            async for _, endpoint in store.load_all(generation):
                self._translation.begin(endpoint)
            read = floor.before() if floor > START else START
        return read
