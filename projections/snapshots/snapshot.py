"""The snapshot: every state of a projection at one position, in a file that can be checked."""

import os
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import zstandard

from events.entry_id import EntryId
from projections.errors import DamagedSnapshotError, SnapshotError, WrongSnapshotError
from projections.projection import Projection

FORMAT = 1
"""Of the file; a reader refuses another one."""

LINE_BYTES_MAX = 8_388_608
"""Of one document; a longer line is no document of ours."""

_LEVEL = 3
_READ_BYTES = 1_048_576

State = TypeVar("State")
Written = TypeVar("Written")


class SnapshotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where snapshots lie.

    Attributes:
        directory: A folder on this machine, made where it is missing.
    """

    directory: str = "snapshots"

    def __post_init__(self) -> None:
        if not self.directory:
            raise ValueError("directory is empty; a folder's path is needed")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is, written after it was read back and found whole.

    Attributes:
        format: Of the file.
        namespace: Whose log it was folded from.
        partitions: With how many the log was made.
        partition: Which of them it is.
        projection: What was folded.
        version: Of the projection.
        position: All up to this entry, inclusive, is in it.
        appended: Entries that were ever appended up to there, None where nobody knows.
        documents: How many there are.
        file: The file's name, beside the manifest.
        size_bytes: Of the file.
        sha256: Of the file.
        taken_at: When, by the clock of the machine that took it.
        verified: Whether the live documents were the same; None: not compared.
    """

    format: int = FORMAT
    namespace: str
    partitions: int
    partition: int
    projection: str
    version: int
    position: str
    appended: int | None
    documents: int = 0
    file: str = ""
    size_bytes: int = 0
    sha256: str = ""
    taken_at: str = ""
    verified: bool | None = None

    @property
    def at(self) -> EntryId:
        """The position as an entry id."""
        return EntryId.parse(self.position)


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The file's first line: what tells it from others, so that no two can be mixed up."""

    format: int
    namespace: str
    partitions: int
    partition: int
    projection: str
    version: int
    position: str
    documents: int


def write_snapshot(
    folder: Path,
    manifest: Manifest,
    projection: Projection[State],
    states: Mapping[UUID, State],
) -> Manifest:
    """Write *states*, read them back, and only then the manifest; return it as it was written.

    The file is whole or not there: it is written beside, synced, and then renamed.

    Raises:
        SnapshotError: It could not be written, such as for a full disk; nothing is left behind.
        DamagedSnapshotError: What was read back is not what was written.
    """
    name = f"{manifest.projection}-v{manifest.version}-{manifest.position}"
    manifest = msgspec.structs.replace(manifest, documents=len(states), file=f"{name}.jsonl.zst")
    path = folder / manifest.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _write_whole(path, lambda file: _write_states(file, manifest, projection, states))
        manifest = msgspec.structs.replace(
            manifest, size_bytes=path.stat().st_size, sha256=_checksum(path)
        )
        _check_read_back(path, written)
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        _write_whole(folder / f"{name}.manifest.json", lambda file: file.write(text))
    except (OSError, DamagedSnapshotError) as error:
        path.unlink(missing_ok=True)
        if isinstance(error, DamagedSnapshotError):
            raise
        raise SnapshotError(f"snapshot {path}: {_words(error)}; nothing was kept") from None
    return manifest


def read_snapshot(
    folder: Path, manifest: Manifest, projection: Projection[State]
) -> dict[UUID, State]:
    """Return the states of a snapshot, each checked.

    Raises:
        WrongSnapshotError: It is of another projection, version or format.
        DamagedSnapshotError: It is missing, cut off or changed.
    """
    path = folder / manifest.file
    check_fits(manifest, projection)
    try:
        size = path.stat().st_size
        if size != manifest.size_bytes:
            raise DamagedSnapshotError(
                f"snapshot {path}: it has {size} bytes, {manifest.size_bytes} were written"
            )
        if _checksum(path) != manifest.sha256:
            raise DamagedSnapshotError(f"snapshot {path}: its checksum is not the manifest's")
        return _read_states(path, manifest, projection)
    except OSError as error:
        raise DamagedSnapshotError(f"snapshot {path}: {_words(error)}") from None


def delete_snapshot(folder: Path, manifest: Manifest) -> None:
    """Delete a snapshot, its manifest first: what is left of a crash between is no snapshot.

    Raises:
        SnapshotError: It could not be deleted.
    """
    try:
        (folder / manifest.file.replace(".jsonl.zst", ".manifest.json")).unlink(missing_ok=True)
        (folder / manifest.file).unlink(missing_ok=True)
    except OSError as error:
        raise SnapshotError(f"snapshot {folder / manifest.file}: {_words(error)}") from None


def check_fits(manifest: Manifest, projection: Projection[Any]) -> None:
    """Raise WrongSnapshotError where the snapshot is not of this projection as it is now."""
    for what, found, wanted in (
        ("format", manifest.format, FORMAT),
        ("projection", manifest.projection, projection.name),
        ("version", manifest.version, projection.version),
    ):
        if found != wanted:
            raise WrongSnapshotError(
                f"snapshot {manifest.file}: its {what} is {found!r}, {wanted!r} is needed"
            )


def read_manifest(path: Path) -> Manifest:
    """Return the manifest at *path*.

    Raises:
        DamagedSnapshotError: It is none.
    """
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        _ = manifest.at
    except OSError as error:
        raise DamagedSnapshotError(f"manifest {path}: {_words(error)}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise DamagedSnapshotError(f"manifest {path}: {error}") from None
    return manifest


def _head(manifest: Manifest) -> _Head:
    fields = (field.name for field in msgspec.structs.fields(_Head))
    return _Head(**{name: getattr(manifest, name) for name in fields})


def _write_states(
    file: Any,  # noqa: ANN401 - a binary file
    manifest: Manifest,
    projection: Projection[State],
    states: Mapping[UUID, State],
) -> str:
    """Write the lines, and return the checksum of their text."""
    digest = sha256()

    def write(line: bytes) -> None:
        digest.update(line)
        compressed.write(line)

    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with compressor.stream_writer(file, closefd=False) as compressed:
        write(msgspec.json.encode(_head(manifest)) + b"\n")
        for state in states.values():
            write(projection.encode(state, 1) + b"\n")
    return digest.hexdigest()


def _read_states(
    path: Path, manifest: Manifest, projection: Projection[State]
) -> dict[UUID, State]:
    states: dict[UUID, State] = {}
    try:
        with path.open("rb") as file:
            lines = _lines(zstandard.ZstdDecompressor().stream_reader(file))
            head = msgspec.json.decode(next(lines, b""), type=_Head)
            if head != _head(manifest):
                raise DamagedSnapshotError(f"snapshot {path}: it is not what its manifest says")
            for line in lines:
                state: Any = projection.decode(line)[1]
                states[state.endpoint_id] = state
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise DamagedSnapshotError(f"snapshot {path}: {error}") from None
    if len(states) != manifest.documents:
        raise DamagedSnapshotError(
            f"snapshot {path}: it has {len(states)} documents, {manifest.documents} were written"
        )
    return states


def _lines(reader: Any) -> Iterator[bytes]:  # noqa: ANN401 - zstandard's
    rest = b""
    while chunk := reader.read(_READ_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > LINE_BYTES_MAX:
            raise DamagedSnapshotError(f"a line has more than {LINE_BYTES_MAX} bytes")
    if rest:
        yield rest


def _write_whole(path: Path, write: Callable[[Any], Written]) -> Written:
    """Write beside, sync, rename, and sync the folder, so that the file is whole or not there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            written = write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return written


def _check_read_back(path: Path, written: str) -> None:
    try:
        with path.open("rb") as file:
            read = _checksum_of(zstandard.ZstdDecompressor().stream_reader(file))
    except zstandard.ZstdError as error:
        raise DamagedSnapshotError(f"snapshot {path}: {error}") from None
    if read != written:
        raise DamagedSnapshotError(f"snapshot {path}: read back, it differs from what was written")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return _checksum_of(file)


def _checksum_of(reader: Any) -> str:  # noqa: ANN401 - a binary file, or zstandard's
    digest = sha256()
    while chunk := reader.read(_READ_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
