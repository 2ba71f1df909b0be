"""Take, find, load and prune the snapshots of one partition."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from anyio.to_thread import run_sync

from events.entry.entry_id import END, START, EntryId
from events.history.history import History
from events.log.layout import read_identity
from events.log.partition_identity import PartitionIdentity
from events.retention.known_snapshots import SnapshotNotes, folder_here
from events.structured_logger import structured_logger
from projections.errors import (
    HistoryMissingError,
    NoSnapshotError,
    SnapshotError,
    WrongSnapshotError,
)
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.read_model.tombstones import is_forgettable
from projections.replay.comparison import PATIENCE_S, Comparison, compare
from projections.replay.folding import Base, Folding, Wants
from projections.replay.partition_history import Source, check_complete, extent_of, find_entry
from projections.replay.replay import Note, replay
from projections.snapshots.manifest import SnapshotManifest, check_fits, read_manifest
from projections.snapshots.snapshot import (
    SnapshotSettings,
    State,
    delete_snapshot,
    read_snapshot,
    write_snapshot,
)

_log = structured_logger(__name__)


class Snapshots:
    """The snapshots of one partition, in a folder of its own."""

    def __init__(self, log: Source, partition: int, settings: SnapshotSettings) -> None:
        self.source = log
        self.partition = partition
        namespace = quote(log.keys.namespace, safe="")
        self.folder = settings.folder / namespace / str(partition)

    def manifests(self) -> list[SnapshotManifest]:
        """Return the manifest of each snapshot, newest first; a damaged one is only logged."""
        found = []
        for path in sorted(self.folder.glob("*.manifest.json")):
            try:
                found.append(read_manifest(path))
            except SnapshotError as error:
                _log.error("snapshot_unusable", error=str(error))
        return sorted(found, key=lambda manifest: manifest.at, reverse=True)

    def find(self, projection: Projection[State], position: EntryId | None) -> SnapshotManifest:
        """Return the snapshot at *position*, the newest one where *position* is None.

        Raises:
            NoSnapshotError: There is none.
        """
        own = self._manifests_of(projection)
        wanted = [manifest for manifest in own if position is None or manifest.at == position]
        if not wanted:
            what = "snapshot" if position is None else f"snapshot at {position}"
            which = f"{projection.name}, version {projection.version},"
            raise NoSnapshotError(f"no {what} of {which} in {self.folder}")
        return wanted[0]

    def _manifests_of(self, projection: Projection[Any]) -> list[SnapshotManifest]:
        return [manifest for manifest in self.manifests() if manifest.is_of(projection)]

    async def identity(self) -> str:
        """Return the identity of the partition's log, "" where it has none yet."""
        log = self.source
        return await read_identity(log.server.client, log.keys, self.partition) or ""

    async def load(
        self,
        manifest: SnapshotManifest,
        projection: Projection[State],
        *,
        until: EntryId = END,
        wants: Wants | None = None,
    ) -> Folding[State]:
        """Return a folding that begins with a snapshot's states.

        Raises:
            WrongSnapshotError: It is of another log, projection or version, or later than *until*.
            DamagedSnapshotError: It is not what was written.
        """
        check_fits(manifest, projection)
        await self._check_log(manifest)
        if manifest.at > until:
            raise WrongSnapshotError(f"snapshot {manifest.file}: it is later than {until}")
        states = await run_sync(read_snapshot, self.folder, manifest, projection)
        if wants is not None:
            states = {wanted: state for wanted, state in states.items() if wants(wanted)}
        base = Base(states=states, position=manifest.at, appended=manifest.appended)
        return Folding(projection, self.partition, base, wants)

    async def _check_log(self, manifest: SnapshotManifest) -> None:
        log = self.source
        identity = await self.identity()
        for what, found, wanted in (
            ("log", manifest.identity or identity, identity),
            ("namespace", manifest.namespace, log.keys.namespace),
            ("number of partitions", manifest.partitions, log.partitions),
            ("partition", manifest.partition, self.partition),
        ):
            if found != wanted:
                raise WrongSnapshotError(
                    f"snapshot {manifest.file}: its {what} is {found!r}, {wanted!r} is needed"
                )
        extent = await extent_of(log, self.partition)
        if extent.removed and (extent.first is None or manifest.at < extent.first):
            return
        if manifest.at > START and await find_entry(log, self.partition, manifest.at) is None:
            raise WrongSnapshotError(
                f"snapshot {manifest.file}: entry {manifest.position}, at which it was taken,"
                " is not in this log,"
                f" which ends with {extent.last}"
            )

    async def check_history(self, held: PartitionIdentity) -> None:
        """Compare the log with what snapshots and archive say of it, unless a loss was accepted.

        They lie elsewhere, and so still know of a history that the server has lost.

        Raises:
            HistoryMissingError: They are of another log, or of entries after the log's end.
            ArchiveError: The archive cannot be read.
        """
        if held.accepted is not None or held.identity is None:
            return
        known = [
            (f"snapshot {manifest.file}", manifest.identity, manifest.at)
            for manifest in await run_sync(self.manifests)
        ]
        if isinstance(self.source, History) and self.source.archive is not None:
            archived = (await self.source.archive.state(self.partition)).manifest
            known.append(("the archive", archived.identity, archived.end))
        last = (await extent_of(self.source, self.partition)).last
        for what, identity, end in known:
            place = f"partition {self.partition}"
            if identity not in {"", held.identity}:
                raise HistoryMissingError(
                    f"{place}: {what} is of log {identity}, what the server has now is of log"
                    f" {held.identity}"
                )
            if identity and end > last:
                raise HistoryMissingError(
                    f"{place}: the log ends at {last} although {what} has entries up to {end}"
                )

    async def newest(
        self, projection: Projection[State], until: EntryId = END, wants: Wants | None = None
    ) -> Folding[State]:
        """Return a folding that begins with the newest snapshot that fits, or with nothing.

        A damaged or wrong snapshot is logged and skipped: an older one works as well.
        """
        for manifest in await run_sync(self.manifests):
            if manifest.at > until or not manifest.is_of(projection):
                continue
            try:
                return await self.load(manifest, projection, until=until, wants=wants)
            except SnapshotError as error:
                _log.warning("snapshot_passed_over", error=str(error))
        return Folding(projection, self.partition, None, wants)

    async def take(
        self,
        store: ReadModelStore[State],
        *,
        compare_with_live: bool = True,
        note: Note | None = None,
    ) -> tuple[SnapshotManifest, Comparison | None]:
        """Fold the log independently, compare with the live documents, and write the states.

        Only where both agree may the entries be trimmed, once every projector can read the
        snapshot; see `SnapshotNotes`.

        Raises:
            HistoryMissingError: Entries that the fold needs are missing.
            SnapshotError: The snapshot could not be written.
        """
        log, projection = self.source, store.projection
        folding = await self.newest(projection)
        head = (await extent_of(log, self.partition)).last
        await replay(log, folding, head, note)
        is_live = compare_with_live and await store.live_generation() is not None
        comparison = await compare(log, store, folding, PATIENCE_S) if is_live else None
        extent = await extent_of(log, self.partition)
        check_complete(self.partition, folding.base.position, extent, folding.base.appended)
        written = await self._write(folding, verified=_verdict(comparison))
        if written.verified:
            notes = SnapshotNotes(log.server, log.keys, self.partition, projection.read_model)
            await notes.taken(written.at, folder_here(str(self.folder)))
        return written, comparison

    async def keep(self, folding: Folding[State]) -> SnapshotManifest | None:
        """Write the states folded so far, without a comparison, for the next fold to start from.

        Returns None, and writes nothing, where endpoints of the folding must be folded again.

        Raises:
            HistoryMissingError: Entries that the fold needs are missing.
            SnapshotError: The snapshot could not be written.
        """
        folding.flush()
        if folding.contested:
            return None
        extent = await extent_of(self.source, self.partition)
        check_complete(self.partition, folding.base.position, extent, folding.base.appended)
        return await self._write(folding, verified=None)

    async def _write(self, folding: Folding[State], *, verified: bool | None) -> SnapshotManifest:
        log, projection = self.source, folding.projection
        first = (await extent_of(log, self.partition)).first
        states = {
            endpoint_id: state
            for endpoint_id, state in folding.states.items()
            if not is_forgettable(projection, state, first)
        }
        manifest = SnapshotManifest(
            identity=await self.identity(),
            namespace=log.keys.namespace,
            partitions=log.partitions,
            partition=self.partition,
            projection=projection.name,
            version=projection.version,
            position=str(folding.position),
            appended=folding.appended,
            taken_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            verified=verified,
        )
        return await run_sync(write_snapshot, self.folder, manifest, projection, states)

    def prune(self, projection: Projection[Any], keep: int) -> list[SnapshotManifest]:
        """Delete all snapshots of *projection* but the *keep* newest; return those deleted.

        Snapshots of another version stay: the release with that version continues from them.

        The newest verified snapshot is never deleted: entries before it may have been trimmed.
        """
        own = self._manifests_of(projection)
        verified = next((manifest for manifest in own if manifest.verified), None)
        old = [manifest for manifest in own[keep:] if manifest is not verified]
        for manifest in old:
            delete_snapshot(self.folder, manifest)
        return old


SnapshotsOf = Callable[[int], Snapshots]
"""The snapshots of each partition."""


def _verdict(comparison: Comparison | None) -> bool | None:
    """Return whether the live documents are the same, None where that is not known of all."""
    if comparison is None or (comparison.undecided and not comparison.mismatches):
        return None
    return comparison.agrees
