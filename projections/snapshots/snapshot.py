"""Write and read snapshots: all states of a projection at one position, in a checked file."""

from collections.abc import Iterator, Mapping
from hashlib import file_digest, sha256
from itertools import islice
from os import fstat
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
import zstandard
from msgspec import Meta

from events.archive.segment import decompressor
from events.archive.whole_file import take_place, temporary_path, writing_synced
from events.entry.entry_id import EntryId
from events.entry.stored_json import StoredJson
from events.errors import DamagedValueError
from events.limits import Limited
from projections.errors import (
    DamagedSnapshotError,
    SnapshotError,
    UnreadableDocumentError,
)
from projections.projection import Projection
from projections.snapshots.manifest import (
    SnapshotManifest,
    check_fits,
    manifest_file,
    newest_first,
    read_manifest,
    states_file,
    words_of,
)

LINE_BYTES_MAX = 8_388_608
"""Maximum bytes of one document; a longer line is not a document of ours."""

_LEVEL = 3
_LOOKED_AT_MAX = 100
_READ_BYTES = 1_048_576

State = TypeVar("State")


class SnapshotSettings(Limited, frozen=True):
    """Where snapshots lie.

    Attributes:
        directory: A folder, made where it is missing, that every projector can read: nothing is
            trimmed that one of them would have to find elsewhere. One without a leading slash lies
            in the current folder of each process.
    """

    directory: Annotated[str, Meta(min_length=1)] = "snapshots"

    @property
    def folder(self) -> Path:
        """The absolute path of the directory."""
        return Path(self.directory).absolute()


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The file's first line: it identifies the file, so that no two can be mixed up."""

    format: int
    namespace: str
    partitions: int
    partition: int
    projection: str
    version: int
    position: str
    documents: int


_HEAD = StoredJson(_Head)


def write_snapshot(
    folder: Path,
    manifest: SnapshotManifest,
    projection: Projection[State],
    states: Mapping[UUID, State],
) -> SnapshotManifest:
    """Write *states* and the manifest, and return the manifest as it was written.

    Both are written to temporary files and synced, and the states are read back; the renames come
    last. Until then an earlier snapshot at the same position stays as it is.

    Raises:
        SnapshotError: It could not be written, because of a full disk for example; no file remains.
        DamagedSnapshotError: What was read back is not what was written.
    """
    file = states_file(manifest)
    manifest = msgspec.structs.replace(manifest, documents=len(states), file=file)
    path, about = folder / file, folder / manifest_file(manifest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_path(path) as new, temporary_path(about) as new_about:
            with writing_synced(new) as compressed:
                written = _write_states(compressed, manifest, projection, states)
            _check_read_back(new, written)
            manifest = msgspec.structs.replace(
                manifest, size_bytes=new.stat().st_size, sha256=checksum_at(new)
            )
            text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
            with writing_synced(new_about) as described:
                described.write(text)
            take_place(new, path)
            take_place(new_about, about)
    except OSError as error:
        raise SnapshotError(
            f"snapshot {path}: {words_of(error)}; it was not taken, those taken before are kept"
        ) from None
    return manifest


def read_snapshot(
    folder: Path, manifest: SnapshotManifest, projection: Projection[State]
) -> dict[UUID, State]:
    """Return the states of a snapshot, each checked.

    Raises:
        WrongSnapshotError: It is of another projection, version or format.
        DamagedSnapshotError: It is missing, cut off or changed.
    """
    path = folder / manifest.file
    check_fits(manifest, projection)
    problem = problem_of(folder, manifest)
    if problem is not None:
        raise DamagedSnapshotError(f"snapshot {path}: {problem}")
    try:
        if checksum_at(path) != manifest.sha256:
            raise DamagedSnapshotError(f"snapshot {path}: its checksum is not the manifest's")
        return _read_states(path, manifest, projection)
    except OSError as error:
        raise DamagedSnapshotError(f"snapshot {path}: {words_of(error)}") from None


def problem_of(folder: Path, manifest: SnapshotManifest) -> str | None:
    """Return what is wrong with a snapshot's file, judged by its size; None where nothing is."""
    try:
        with (folder / manifest.file).open("rb") as file:
            size = fstat(file.fileno()).st_size
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return words_of(error)
    if size != manifest.size_bytes:
        return f"the file has {size} bytes, {manifest.size_bytes} were written"
    return None


def newest_verified(
    folder: Path, projection: Projection[Any], identity: str
) -> tuple[EntryId | None, str]:
    """Return the position of the newest verified snapshot of log *identity*, judged by its size.

    It is None where none can be read; the text then says what is wrong, "" if there is just none.
    """
    try:
        names = newest_first((path.name for path in folder.iterdir()), projection)
    except OSError as error:
        return None, words_of(error)
    problem = ""
    for name in names[:_LOOKED_AT_MAX]:
        try:
            manifest = read_manifest(folder / name)
        except SnapshotError as error:
            problem = problem or str(error)
            continue
        if manifest.verified and manifest.identity in {"", identity}:
            if (damage := problem_of(folder, manifest)) is None:
                return manifest.at, ""
            problem = problem or f"{manifest.file}: {damage}"
    return None, problem


def delete_snapshot(folder: Path, manifest: SnapshotManifest) -> None:
    """Delete a snapshot, its manifest first: a file without a manifest is not a snapshot.

    Raises:
        SnapshotError: It could not be deleted.
    """
    try:
        (folder / manifest_file(manifest)).unlink(missing_ok=True)
        (folder / manifest.file).unlink(missing_ok=True)
    except OSError as error:
        raise SnapshotError(f"snapshot {folder / manifest.file}: {words_of(error)}") from None


def _head(manifest: SnapshotManifest) -> _Head:
    fields = (field.name for field in msgspec.structs.fields(_Head))
    return _Head(**{name: getattr(manifest, name) for name in fields})


def _write_states(
    file: Any,  # noqa: ANN401 - a binary file
    manifest: SnapshotManifest,
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
        # In a fixed order: a snapshot taken again at the same position has the same bytes, so it
        # still fits the earlier manifest after a crash between the two renames.
        for endpoint_id in sorted(states, key=lambda endpoint_id: endpoint_id.int):
            write(projection.encode(states[endpoint_id], 1) + b"\n")
    return digest.hexdigest()


def _read_states(
    path: Path, manifest: SnapshotManifest, projection: Projection[State]
) -> dict[UUID, State]:
    states: dict[UUID, State] = {}
    try:
        with path.open("rb") as file:
            lines = _lines(decompressor().stream_reader(file))
            if _HEAD(next(lines, b"")) != _head(manifest):
                raise DamagedSnapshotError(f"snapshot {path}: it is not what its manifest says")
            for line in islice(lines, manifest.documents + 1):
                state: Any = projection.read(line)[1]
                states[state.endpoint_id] = state
    except (zstandard.ZstdError, DamagedValueError, UnreadableDocumentError) as error:
        raise DamagedSnapshotError(f"snapshot {path}: {error}") from None
    if len(states) != manifest.documents:
        raise DamagedSnapshotError(
            f"snapshot {path}: it has {len(states)} documents, {manifest.documents} were written"
        )
    return states


def _lines(reader: Any) -> Iterator[bytes]:  # noqa: ANN401 - zstandard's
    partial_line = b""
    while chunk := reader.read(_READ_BYTES):
        *lines, partial_line = (partial_line + chunk).split(b"\n")
        yield from lines
        if len(partial_line) > LINE_BYTES_MAX:
            raise DamagedSnapshotError(f"a line has more than {LINE_BYTES_MAX} bytes")
    if partial_line:
        yield partial_line


def _check_read_back(path: Path, written: str) -> None:
    try:
        with path.open("rb") as file:
            read = file_digest(decompressor().stream_reader(file), "sha256").hexdigest()
    except zstandard.ZstdError as error:
        raise DamagedSnapshotError(f"snapshot {path}: {error}") from None
    if read != written:
        raise DamagedSnapshotError(f"snapshot {path}: read back, it differs from what was written")


def checksum_at(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
