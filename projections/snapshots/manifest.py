"""Read the manifest of a snapshot: what it holds, and the names of its two files."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from events.entry.entry_id import EntryId
from events.entry.stored_json import StoredJson
from events.errors import EventsError
from projections.errors import DamagedSnapshotError, WrongSnapshotError
from projections.projection import Projection

FORMAT = 1
"""The format of the file; a reader refuses any other."""


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a snapshot, written after the file was read back and found intact.

    Attributes:
        format: The format of the file.
        namespace: The namespace of the log from which it was folded.
        identity: The identity of that log, "" where an earlier release took the snapshot.
        partitions: The number of partitions of that log.
        partition: The partition.
        projection: The name of the projection.
        version: The version of the projection.
        position: The last entry that is in the snapshot.
        appended: Entries that were ever appended up to there, None where that is not known.
        documents: The number of documents.
        file: The file's name, in the folder of the manifest.
        size_bytes: The size of the file.
        sha256: The checksum of the file.
        taken_at: When it was taken, by the clock of the machine that took it.
        verified: Whether the live documents were the same; None: not compared.
    """

    format: int = FORMAT
    namespace: str
    partitions: int
    partition: int
    projection: str
    version: int
    position: str
    appended: Annotated[int, Meta(ge=0)] | None
    documents: Annotated[int, Meta(ge=0)] = 0
    file: str = ""
    size_bytes: Annotated[int, Meta(ge=0)] = 0
    sha256: str = ""
    taken_at: str = ""
    verified: bool | None = None
    identity: str = ""

    @property
    def at(self) -> EntryId:
        """The position as an entry id."""
        return EntryId.parse(self.position)

    def is_of(self, projection: Projection[Any]) -> bool:
        """Whether it is of *projection*, in the same version."""
        return (self.projection, self.version) == (projection.name, projection.version)


_MANIFEST_BYTES_MAX = 65_536
_MANIFEST = StoredJson(SnapshotManifest, _MANIFEST_BYTES_MAX)


def read_manifest(path: Path) -> SnapshotManifest:
    """Return the manifest at *path*.

    Raises:
        DamagedSnapshotError: It cannot be read, or is not a manifest.
    """
    try:
        with path.open("rb") as file:
            manifest = _MANIFEST(file.read(_MANIFEST_BYTES_MAX + 1))
        _ = manifest.at
    except OSError as error:
        raise DamagedSnapshotError(f"manifest {path}: {words_of(error)}") from None
    except EventsError as error:
        raise DamagedSnapshotError(f"manifest {path}: {error}") from None
    # Its files are read, and deleted, by the names in it: they lie beside it, and are its own.
    if (path.name, manifest.file) != (manifest_file(manifest), states_file(manifest)):
        raise DamagedSnapshotError(
            f"manifest {path}: it is of {manifest_file(manifest)!r}, and names the file"
            f" {manifest.file!r}"
        )
    return manifest


def check_fits(manifest: SnapshotManifest, projection: Projection[Any]) -> None:
    """Raise WrongSnapshotError where the snapshot is not of this version of *projection*."""
    for what, found, wanted in (
        ("format", manifest.format, FORMAT),
        ("projection", manifest.projection, projection.name),
        ("version", manifest.version, projection.version),
    ):
        if found != wanted:
            raise WrongSnapshotError(
                f"snapshot {manifest.file}: its {what} is {found!r}, {wanted!r} is needed"
            )


def _name(manifest: SnapshotManifest) -> str:
    return f"{manifest.projection}-v{manifest.version}-{manifest.position}"


def manifest_file(manifest: SnapshotManifest) -> str:
    """Return the name of the manifest's own file."""
    return f"{_name(manifest)}.manifest.json"


def newest_first(names: Iterable[str], projection: Projection[Any]) -> list[str]:
    """Return those of *names* that are of manifests of this version of *projection*."""
    begin, end = f"{projection.name}-v{projection.version}-", ".manifest.json"
    found: list[tuple[EntryId, str]] = []
    for name in names:
        if name.startswith(begin) and name.endswith(end):
            with suppress(EventsError):
                found.append((EntryId.parse(name[len(begin) : -len(end)]), name))
    return [name for _, name in sorted(found, reverse=True)]


def states_file(manifest: SnapshotManifest) -> str:
    """Return the name of the file of its states."""
    return f"{_name(manifest)}.jsonl.zst"


def words_of(error: OSError) -> str:
    """Return what the operating system says."""
    return (error.strerror or str(error)).lower()
