"""Write the closed segments of a partition to the archive; report each once it is safe there."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import msgspec

from events.archive.archive import Archive, State
from events.archive.errors import BusyArchiveError, ForeignArchiveError, GapError
from events.archive.manifest import ArchiveManifest, Gap, Part
from events.archive.segment import Packing, Segment
from events.entry.entry_id import END, EntryId
from events.log.layout import read_identity
from events.log.log import EventLog
from events.log.partition_chunk import PartitionChunk, read_chunk
from events.log.positions import Positions
from events.log.protocol import READ_COUNT
from events.server.server import now_of
from events.structured_logger import structured_logger

HOLDER = "archive"
"""The holder of the position up to which the log is archived."""

RACES_MAX = 1_000
"""Times in a row that another run may write the next segment first."""

_FIRST_COUNT = 16
_READ_BYTES = 8_388_608

_log = structured_logger(__name__)


class Written(msgspec.Struct, frozen=True):
    """A segment that is in the archive for good, and the gap that was accepted before it.

    Both are as in the manifest, chained to the parts before them.
    """

    partition: int
    segment: Segment
    gap: Gap | None


class _Next(msgspec.Struct, frozen=True):
    segment: Segment
    data: bytes
    content_sha256: str
    gap: Gap | None

    @property
    def parts(self) -> list[Part]:
        return [self.segment] if self.gap is None else [self.gap, self.segment]


async def bound_of(log: EventLog, archive: Archive) -> EntryId:
    """Return the greatest entry id that is old enough to be archived."""
    now = await now_of(log.server) - timedelta(seconds=archive.settings.margin_s)
    return EntryId(max(0, int(now.timestamp() * 1_000)), END.seq)


async def archive_partition(
    log: EventLog, archive: Archive, partition: int, up_to: EntryId, *, accept_gap: bool = False
) -> AsyncGenerator[Written]:
    """Write segment after segment up to *up_to*, inclusive; yield each when it is safe.

    A segment's file is written, synced, renamed, read back and checked; then the manifest names
    it; then the log's position `archive` is raised, which lets the entries be trimmed. After a
    crash at any point the next run continues after the last segment in the manifest. Several runs
    at once do no harm: a run writes the manifest only if it is unchanged since the run read it.

    Raises:
        GapError: Entries were trimmed before they were archived; nothing after them is archived.
        ForeignArchiveError: The log ends before the archive does.
        ArchiveError: The storage cannot be used, or is damaged.
    """
    positions, races = Positions(log.server, log.keys, partition), 0
    position = await positions.of(HOLDER)  # first: a manifest read later is not older
    identity = await read_identity(log.server.client, log.keys, partition)
    state = _of_log(await archive.state(partition), identity)
    following = await _next_segment(log, archive, state, up_to, accept_gap=accept_gap)
    # Only now: a run that fails with a gap, or on another log's archive, changes nothing.
    await _correct_position(positions, position, state.manifest)
    while following is not None:
        segment, parts = following.segment, following.parts
        await archive.write(partition, segment, following.data, following.content_sha256)
        named = state.manifest.with_parts(*parts)
        landed = await archive.add(state, *parts)
        state = _of_log(await archive.state(partition), identity)
        if landed:
            races = 0
            await positions.advance(HOLDER, segment.last_id)
            yield Written(partition, named.segments[-1], following.gap and named.gaps[-1])
        else:
            races += 1
            _log.info("archive_raced", partition=partition, end=str(state.manifest.end))
        if races > RACES_MAX:
            raise BusyArchiveError(f"partition {partition}: another run was faster {races} times")
        following = await _next_segment(log, archive, state, up_to, accept_gap=accept_gap)


def _of_log(state: State, identity: str | None) -> State:
    """Return *state* with the log's identity; raise ForeignArchiveError if it has another one."""
    manifest = state.manifest
    if identity is None or manifest.identity == identity:
        return state
    if manifest.identity:
        raise ForeignArchiveError(
            f"partition {manifest.partition}: the archive is of log {manifest.identity}, this is"
            f" log {identity}; archive it to a place of its own"
        )
    return State(msgspec.structs.replace(manifest, identity=identity), state.version)


async def _correct_position(
    positions: Positions, position: EntryId | None, manifest: ArchiveManifest
) -> None:
    """Set the position to the archive's end: they differ after a crash, or with another archive."""
    if position is not None and position > manifest.end:
        _log.warning("archive_position_set_back", position=str(position), end=str(manifest.end))
        await positions.set_back(HOLDER, manifest.end)
    elif manifest.parts:
        await positions.advance(HOLDER, manifest.end)


async def _next_segment(
    log: EventLog, archive: Archive, state: State, up_to: EntryId, *, accept_gap: bool
) -> _Next | None:
    """Pack the next segment; None if there are no entries up to *up_to*."""
    manifest, settings = state.manifest, archive.settings
    packing, gap, end = Packing(), None, manifest.end
    known = manifest.added
    while end < up_to and packing.raw_bytes < settings.segment_bytes_max:
        left = min(_count_for(packing), settings.segment_entries_max - packing.count)
        chunk = await read_chunk(log, manifest.partition, end.after(), up_to, left)
        _check_history(manifest.partition, end, chunk)
        if not chunk.reaches(end.after(), known):
            if packing.count:
                break  # keep the entries before the gap; the next segment meets it
            gap = _gap(manifest.partition, end, chunk, known, accepted=accept_gap)
            known = chunk.removed
        for entry in chunk.entries:
            packing.add(entry)
            end, known = EntryId.parse(entry[0]), known + 1
            if packing.raw_bytes >= settings.segment_bytes_max:
                break
        if len(chunk.entries) < left or packing.count >= settings.segment_entries_max:
            break
    return None if not packing.count else _Next(*packing.finish(), gap)


def _count_for(packing: Packing) -> int:
    """Return how many entries to ask for: few at first, because an entry can be large."""
    if not packing.count:
        return _FIRST_COUNT
    return max(1, min(READ_COUNT, _READ_BYTES * packing.count // packing.raw_bytes))


def _gap(
    partition: int, end: EntryId, chunk: PartitionChunk, known: int, *, accepted: bool
) -> Gap | None:
    count = chunk.removed - known
    if not accepted:
        raise GapError(partition, end, chunk.first, count)
    if not chunk.entries:
        return None
    until = chunk.entries[0][0].decode()
    _log.warning("gap_accepted", partition=partition, after=str(end), until=until, count=count)
    return Gap(after=str(end), until=until, count=count)


def _check_history(partition: int, end: EntryId, chunk: PartitionChunk) -> None:
    if chunk.last < end:
        raise ForeignArchiveError(
            f"partition {partition}: the archive ends at {end}, the log already at {chunk.last}:"
            " this is another log, or a server that came back with an older history; archive it"
            " to a place of its own"
        )
