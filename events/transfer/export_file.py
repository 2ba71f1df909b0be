"""Write and read an export: a log, or a part of it, as one file of JSON lines with a checksum.

The first line is the header. The entries follow, partition after partition. The last line has their
number and the checksum of all lines before it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec
from msgspec import Meta

from events.entry.entry_id import EntryId
from events.entry.entry_line import EntryLineError, RawEntry, entry_of, line_of
from events.entry.stored_json import StoredJson
from events.errors import DamagedValueError, EventsError

FORMAT = "routestream-log"
VERSION = 1
LINE_BYTES_MAX = 16_777_216
"""Bytes of one line, at most; our own entries have up to 1 MiB, which JSON can make longer."""

_HEADER_BYTES_MAX = 65_536


class UnreadableExportError(EventsError):
    """A file is not an export, is damaged or is not whole; nothing was imported from it."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of an export.

    Attributes:
        namespace: Namespace of the log that was exported.
        partitions: Number of partitions of that log.
        start: Where the export begins, `0-0` for the beginning of the log.
    """

    format: Literal["routestream-log"] = "routestream-log"
    version: int = VERSION
    namespace: str
    partitions: Annotated[int, Meta(ge=1)]
    start: str = "0-0"


class _End(msgspec.Struct, frozen=True):
    entries: int
    sha256: str


class _Trailer(msgspec.Struct, frozen=True):
    end: _End


_read_header = StoredJson(Header)
_read_trailer = StoredJson(_Trailer)


class ExportedEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of an export."""

    partition: int
    entry_id: EntryId
    strings: list[bytes]


class ExportWriter:
    """Writes an export into an open file."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file = file
        self._checksum = sha256()
        self.count = 0
        self._write(msgspec.json.encode(header) + b"\n")

    def add(self, partition: int, entries: list[RawEntry]) -> None:
        """Write entries; those of one partition come together, in the partitions' order."""
        self._write(b"".join(line_of(entry, partition) for entry in entries))
        self.count += len(entries)

    def end(self) -> None:
        """Write the last line: without it the file is not whole."""
        trailer = _Trailer(_End(self.count, self._checksum.hexdigest()))
        self._write(msgspec.json.encode(trailer) + b"\n")
        self._file.flush()

    def _write(self, lines: bytes) -> None:
        self._checksum.update(lines)
        self._file.write(lines)


def read_header(path: Path) -> Header:
    """Read the first line; raise UnreadableExportError if it is not a header."""
    with _opened(path) as file:
        return _header(path, file.readline(_HEADER_BYTES_MAX))


def read_export(path: Path) -> Iterator[ExportedEntry]:
    """Yield the entries in their order; the last step checks their number and the checksum.

    Raises:
        UnreadableExportError: It is not an export, damaged, or not whole. The message names the
            line; the entries before it were yielded.
    """
    checksum, count, number = sha256(), 0, 1
    previous: tuple[int, EntryId] | None = None
    with _opened(path) as file:
        line = file.readline(_HEADER_BYTES_MAX)
        header = _header(path, line)
        while True:
            checksum.update(line)
            line = file.readline(LINE_BYTES_MAX + 1)
            number += 1
            if line.startswith(b'{"end":') or not line:
                break
            entry = _entry(f"{path}, line {number}", line, header, previous)
            previous = (entry.partition, entry.entry_id)
            count += 1
            yield entry
        _check_end(path, line, count, checksum.hexdigest())
        if file.read(1):
            raise UnreadableExportError(f"{path}, line {number}: something follows the end")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UnreadableExportError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _header(path: Path, line: bytes) -> Header:
    try:
        header = _read_header(line)
    except DamagedValueError:
        raise UnreadableExportError(
            f"{path}: its first line is no header of an export;"
            " `routestream events import --format` reads what other systems wrote"
        ) from None
    if header.version != VERSION:
        raise UnreadableExportError(
            f"{path}: an export of version {header.version}, this release knows {VERSION}"
        )
    return header


def _entry(
    place: str, line: bytes, header: Header, previous: tuple[int, EntryId] | None
) -> ExportedEntry:
    try:
        entry = ExportedEntry(*entry_of(line))
    except EntryLineError as error:
        raise UnreadableExportError(f"{place}: {error}") from None
    if not 0 <= entry.partition < header.partitions or not entry.strings:
        raise UnreadableExportError(f"{place}: partition {entry.partition}, or no fields")
    if previous is not None and (entry.partition, entry.entry_id) <= previous:
        raise UnreadableExportError(f"{place}: entry {entry.entry_id} is out of order")
    return entry


def _check_end(path: Path, line: bytes, count: int, checksum: str) -> None:
    try:
        end = _read_trailer(line).end
    except DamagedValueError:
        raise UnreadableExportError(
            f"{path}: it ends after {count} entries without its last line: it is not whole"
        ) from None
    if (end.entries, end.sha256) != (count, checksum):
        raise UnreadableExportError(
            f"{path}: {count} entries with another checksum than that of the"
            f" {end.entries} entries that were exported"
        )
