"""Import an export into a log; each entry keeps its id."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from anyio.lowlevel import checkpoint

from events.entry.entry_id import END, START, EntryId
from events.errors import EventsError
from events.log.log import EventLog
from events.log.partition_chunk import PartitionChunk, read_chunk_back
from events.transfer.copy import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    STRINGS_MAX,
    Copied,
    Copy,
    size_of,
)
from events.transfer.export_file import (
    ExportedEntry,
    UnreadableExportError,
    read_export,
    read_header,
)

Note = Callable[[int, EntryId], None]
"""Called with how many more entries were read or added, and the id of the last one."""


class ForeignTargetError(EventsError):
    """The log that is imported into has entries that the export does not have."""


class PartitionPlan(msgspec.Struct, frozen=True):
    """What the import will do to one partition.

    Attributes:
        partition: The partition.
        present: The last id that is in the log already, `START` for none.
        last: The last id of the export, `START` if it has no entry of this partition.
        skipped: Entries of the export that are in the log already.
        count: Entries that will be added.
    """

    partition: int
    present: EntryId
    last: EntryId
    skipped: int
    count: int


class _Contents(msgspec.Struct):
    last: EntryId = START
    skipped: int = 0
    count: int = 0
    same: bool = False


async def plan_import(log: EventLog, path: Path, note: Note) -> list[PartitionPlan]:
    """Read the whole export, and compare it with what the log has; nothing is written.

    An import that was interrupted has left a beginning of the export; the plan continues it.

    Raises:
        UnreadableExportError: The export is damaged or not whole.
        ForeignTargetError: The log has something other than a beginning of the export.
    """
    header = read_header(path)
    newest = [await read_chunk_back(log, p, START, END, 1) for p in range(log.partitions)]
    contents = [_Contents() for _ in newest]
    for seen, entry in enumerate(read_export(path), start=1):
        if len(entry.strings) > STRINGS_MAX:
            raise UnreadableExportError(
                f"{path}: entry {entry.entry_id} has {len(entry.strings) // 2} fields, the limit"
                f" is {STRINGS_MAX // 2}"
            )
        _compare(contents[entry.partition], newest[entry.partition], entry)
        if not seen % BATCH_ENTRIES_MAX:
            note(BATCH_ENTRIES_MAX, entry.entry_id)
            await checkpoint()
    is_whole = EntryId.parse(header.start) == START
    for partition, (chunk, content) in enumerate(zip(newest, contents, strict=True)):
        counted = not is_whole or content.skipped == chunk.added
        if chunk.added and not (content.same and counted):
            raise ForeignTargetError(
                f"partition {partition} of {log.keys.namespace!r} has {chunk.added} entries up to"
                f" {chunk.last} that are no beginning of {path}; import into an empty namespace"
            )
    return [
        PartitionPlan(partition, chunk.last, content.last, content.skipped, content.count)
        for partition, (chunk, content) in enumerate(zip(newest, contents, strict=True))
    ]


def _compare(content: _Contents, newest: PartitionChunk, entry: ExportedEntry) -> None:
    content.last = entry.entry_id
    if entry.entry_id > newest.last:
        content.count += 1
        return
    content.skipped += 1
    if entry.entry_id == newest.last and newest.entries:
        present_id, present = newest.entries[0]
        content.same = EntryId.parse(present_id) == newest.last and list(present) == entry.strings


async def import_log(log: EventLog, path: Path, plans: list[PartitionPlan], note: Note) -> None:
    """Add what the plans say, in batches that a crash leaves whole; see `plan_import`.

    Raises:
        MovedError: Another program appends to the log meanwhile.
        EventsError: The export can no longer be read, or the server cannot be reached.
    """
    copy = Copy(log)
    last = {plan.partition: plan.present for plan in plans}
    for batch in _batches(path, dict(last)):
        partition = batch[0].partition
        entries = [Copied(entry.strings, entry.entry_id) for entry in batch]
        last[partition] = await copy.add_after(partition, last[partition], entries)
        note(len(batch), last[partition])


def _batches(path: Path, present: dict[int, EntryId]) -> Iterator[list[ExportedEntry]]:
    batch: list[ExportedEntry] = []
    size = 0
    for entry in read_export(path):
        if entry.entry_id <= present[entry.partition]:
            continue
        entry_size = size_of(entry.strings)
        is_full = len(batch) == BATCH_ENTRIES_MAX or size + entry_size > BATCH_BYTES_MAX
        if batch and (is_full or batch[0].partition != entry.partition):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry_size
    if batch:
        yield batch
