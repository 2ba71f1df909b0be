"""What the archive's tests share: logs with anything in them, and archives in folders."""

from collections.abc import Sequence
from pathlib import Path

from events.archive import Archive, ArchiveSettings
from events.archive.archiver import Written, archive_partition
from events.entry.entry_id import END, EntryId
from events.log.log import EventLog

Raw = tuple[bytes, list[bytes]]


async def add(log: EventLog, *ids: str, partition: int = 0) -> None:
    """Add an entry for each id, with something of its own in it."""
    pipeline = (await log.server.at(log.keys.events(0))).pipeline(transaction=False)
    for one in ids:
        pipeline.execute_command("XADD", log.keys.events(partition), one, "name", f"n-{one}")
    await pipeline.execute()


async def add_many(log: EventLog, count: int, *, begin: int = 1, partition: int = 0) -> None:
    """Add entries `begin-0`, `begin+1-0`, ..."""
    await add(log, *(f"{ms}-0" for ms in range(begin, begin + count)), partition=partition)


async def add_raw(log: EventLog, entries: Sequence[Raw], partition: int = 0) -> None:
    for entry_id, strings in entries:
        await log.server.client.call("XADD", log.keys.events(partition), entry_id, *strings)


async def in_stream(log: EventLog, partition: int = 0) -> list[Raw]:
    """Return what Redis has, as Redis tells it."""
    raw = await log.server.client.execute_command("XRANGE", log.keys.events(partition), "-", "+")
    return [(entry_id, fields) for entry_id, fields in raw]


async def trim(log: EventLog, first: int | str, partition: int = 0) -> None:
    """Let nothing be left before *first*."""
    await log.server.client.call("XTRIM", log.keys.events(partition), "MINID", first)


def archive_in(folder: Path, log: EventLog, *, entries_max: int = 10) -> Archive:
    settings = ArchiveSettings(location=str(folder), segment_entries_max=entries_max)
    return Archive.open(settings, log.keys.namespace)


async def run(
    log: EventLog,
    archive: Archive,
    up_to: EntryId = END,
    *,
    partition: int = 0,
    accept_gap: bool = False,
) -> list[Written]:
    written = archive_partition(log, archive, partition, up_to, accept_gap=accept_gap)
    return [one async for one in written]


async def archived(archive: Archive, partition: int = 0) -> list[Raw]:
    """Return what the archive gives back."""
    manifest = (await archive.state(partition)).manifest
    return [(i, list(f)) async for chunk in archive.read(manifest) for i, f in chunk]


def names_in(folder: Path) -> list[str]:
    """Return what lies in the folder."""
    return sorted(path.name for path in folder.iterdir())
