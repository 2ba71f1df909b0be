"""Append recorded history once more, to another log, at a chosen pace."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from time import monotonic

import anyio
import msgspec

from events.catalogue.event import new_event_id
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import EventsError, ServerRefusedError
from events.history.history import History
from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.merge import merged
from events.transfer.copy import STRINGS_MAX, Copied, Copy, endpoint_of

BATCH_MAX = 200
"""Entries appended in one step, at most, when they are due together."""

GAP_MAX_S = 3_600.0
"""The longest silence that is kept, in seconds; a clock that jumped can leave one of years."""

Note = Callable[[int, EntryId], None]
"""Called with how many more were appended, and the id of the last one in the source log."""


class SameLogError(EventsError):
    """A log cannot be played into itself."""


class Pace(msgspec.Struct, frozen=True):
    """How fast: *per_s* entries a second, or *speed* times as fast as it was; neither: at once."""

    per_s: float | None = None
    speed: float | None = None

    def wait_s(self, before: EntryId | None, entry_id: EntryId) -> float:
        """Return how many seconds after the entry *before* an entry is due."""
        if self.per_s is not None:
            return 0.0 if before is None else 1 / self.per_s
        if self.speed is None or before is None:
            return 0.0
        return min(GAP_MAX_S, max(0.0, (entry_id.ms - before.ms) / 1_000)) / self.speed


async def refuse_same_log(source: EventLog, target: EventLog) -> None:
    """Raise SameLogError if both are the same log, by whatever URL each was reached."""
    if source.keys == target.keys and await _place_of(source) == await _place_of(target):
        raise SameLogError(
            f"{source.keys.namespace!r} is the log that is read from; play it --into another"
            " namespace, or to another server with --into-url"
        )


async def _place_of(log: EventLog) -> tuple[str, int]:
    try:
        about = await (await log.server.at(log.keys.layout)).told("server")
    except ServerRefusedError:
        about = {"run_id": log.server.address}
    return str(about["run_id"]), log.server.settings.server_url.database


class Playback:
    """Appends what a history holds to another log, in the order of the ids.

    Entries get new ids, those of the time at which they are appended. Their fields stay as they
    were, the event's own id too: a comparison of the two logs finds the same events. With
    *new_event_ids* each gets a new one, and is a fact of its own.

    Attributes:
        unsettled: The last id that was sent and not answered; None if all were answered.
    """

    def __init__(
        self, history: History, target: EventLog, pace: Pace, *, new_event_ids: bool = False
    ) -> None:
        self._history = history
        self._target = target
        self._pace = pace
        self._new_event_ids = new_event_ids
        self._copy = Copy(target)
        self.unsettled: EntryId | None = None

    async def play(self, start: EntryId, ends: Sequence[EntryId], note: Note) -> None:
        """Append the entries from *start* to each partition's end, inclusive.

        A step is never cut between entries of one id, so that playing from after the last id that
        *note* was called with continues exactly there, also after a cancellation.

        Raises:
            ServerUnavailableError: No reply came; the entries after the last that *note* was called
                with, up to *unsettled*, may or may not have been appended.
        """
        due_at = monotonic()
        batch: list[Entry] = []
        before: EntryId | None = None
        read = self._history.read_entries
        sources = [read(p, start, end) for p, end in enumerate(ends) if end >= start]
        async with aclosing(merged(sources)) as entries:
            async for entry in entries:
                if entry.entry_id != before:
                    due_at += self._pace.wait_s(before, entry.entry_id)
                    wait_s = due_at - monotonic()
                    if batch and (wait_s > 0 or len(batch) >= BATCH_MAX):
                        await self._append(batch, note)
                        batch = []
                    if wait_s > 0:
                        await anyio.sleep(wait_s)
                elif self._pace.per_s is not None:
                    due_at += 1 / self._pace.per_s
                before = entry.entry_id
                batch.append(entry)
        if batch:
            await self._append(batch, note)

    async def _append(self, batch: Sequence[Entry], note: Note) -> None:
        """Append a batch; a cancellation waits for it, so that it is known what was appended."""
        by_partition: dict[int, list[Copied]] = {}
        for entry in batch:
            strings = self._strings(entry)
            endpoint = endpoint_of(strings)
            partition = (
                entry.partition % self._target.partitions
                if endpoint is None
                else partition_of(endpoint, self._target.partitions)
            )
            by_partition.setdefault(partition, []).append(Copied(strings))
        self.unsettled = batch[-1].entry_id
        with anyio.CancelScope(shield=True):
            for partition, entries in by_partition.items():
                await self._copy.add(partition, entries)
        self.unsettled = None
        note(len(batch), batch[-1].entry_id)

    def _strings(self, entry: Entry) -> list[bytes]:
        fields = dict(entry.fields)
        if self._new_event_ids and b"id" in fields:
            fields[b"id"] = str(new_event_id()).encode()
        strings = [part for field in fields.items() for part in field]
        if len(strings) > STRINGS_MAX:
            raise EventsError(
                f"entry {entry.entry_id} has {len(fields)} fields, the limit is {STRINGS_MAX // 2};"
                f" continue after it with --from {entry.entry_id.after()}"
            )
        return strings
