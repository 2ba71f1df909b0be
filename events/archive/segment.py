"""Pack consecutive entries into one compressed file; read and check such a file."""

from collections.abc import Iterator
from hashlib import sha256

import msgspec
import zstandard

from events.archive.errors import DamagedArchiveError
from events.entry.entry_id import EntryId
from events.entry.entry_line import EntryLineError, RawEntry, entry_of, line_of

CHUNK = 1_000
"""Entries of one chunk when a segment is read."""

RAW_BYTES_MAX = 2_147_483_648
"""Bytes of a segment before compression, at most: twice what a setting can ask for."""

LINE_BYTES_MAX = 134_217_728
"""Bytes of one line, at most: an entry of another program can be larger than one of ours."""

_WINDOW_BYTES_MAX = 8_388_608
_CHUNK_BYTES = 8_388_608
_LEVEL = 3
_READ_BYTES = 1_048_576
_NAME_CHARACTERS = 16


class Segment(msgspec.Struct, frozen=True, kw_only=True, tag="segment", tag_field="kind"):
    """The manifest's description of one file.

    Attributes:
        file: Its name, with a part of its checksum: two writers never give one name to different
            bytes.
        first: The id of its first entry.
        last: The id of its last entry.
        count: Number of its entries.
        raw_bytes: Its size before compression.
        stored_bytes: The file's size.
        sha256: Checksum of the file.
        chain: Checksum of this part and of all parts before it in the manifest.
    """

    file: str
    first: str
    last: str
    count: int
    raw_bytes: int
    stored_bytes: int
    sha256: str
    chain: str = ""

    @property
    def first_id(self) -> EntryId:
        """The id of its first entry."""
        return EntryId.parse(self.first)

    @property
    def last_id(self) -> EntryId:
        """The id of its last entry."""
        return EntryId.parse(self.last)


def file_name(first: str, last: str, checksum: str) -> str:
    """Return the name of the file of the entries *first* to *last*."""
    return f"{first}_{last}_{checksum[:_NAME_CHARACTERS]}.jsonl.zst"


class Packing:
    """A segment that is being written, entry by entry."""

    def __init__(self) -> None:
        self.count = 0
        self.raw_bytes = 0
        self._first = self._last = b""
        self._content = sha256()
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._compress = compressor.compressobj()
        self._parts: list[bytes] = []

    def add(self, entry: RawEntry) -> None:
        """Add the next entry."""
        line = line_of(entry)
        if not self.count:
            self._first = entry[0]
        self._last = entry[0]
        self.count += 1
        self.raw_bytes += len(line)
        self._content.update(line)
        self._parts.append(self._compress.compress(line))

    def finish(self) -> tuple[Segment, bytes, str]:
        """Return the segment, its file's content, and the checksum of what was compressed."""
        self._parts.append(self._compress.flush())
        data = b"".join(self._parts)
        checksum = sha256(data).hexdigest()
        first, last = self._first.decode(), self._last.decode()
        segment = Segment(
            file=file_name(first, last, checksum),
            first=first,
            last=last,
            count=self.count,
            raw_bytes=self.raw_bytes,
            stored_bytes=len(data),
            sha256=checksum,
        )
        return segment, data, self._content.hexdigest()


def decompressor() -> zstandard.ZstdDecompressor:
    """Return a decompressor that takes no more memory than what was written here needs."""
    return zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)


def check(segment: Segment, data: bytes | None, content_sha256: str | None = None) -> None:
    """Read the file's whole content, and check that it is what was written.

    Raises:
        DamagedArchiveError: It is not; the message says what is wrong.
    """
    content = sha256()
    for lines in _lines(segment, data):
        content.update(b"\n".join(lines) + b"\n")
        for _ in _entries(segment, lines):
            pass
    if content_sha256 is not None and content.hexdigest() != content_sha256:
        raise DamagedArchiveError(f"{segment.file}: read back, it is not what was written")


def chunks(
    segment: Segment, data: bytes | None, start: EntryId, end: EntryId
) -> Iterator[list[RawEntry]]:
    """Yield the entries from *start* to *end*, both included, as `RawEntry`.

    Raises:
        DamagedArchiveError: The content differs from what the manifest says.
    """
    for lines in _lines(segment, data):
        wanted: list[RawEntry] = [
            (str(entry_id).encode(), strings)
            for entry_id, strings in _entries(segment, lines)
            if start <= entry_id <= end
        ]
        if wanted:
            yield wanted


def _lines(segment: Segment, data: bytes | None) -> Iterator[list[bytes]]:
    """Yield the lines in chunks; check the file, their number and size against *segment*."""
    if data is None:
        raise DamagedArchiveError(f"{segment.file}: the file is missing")
    if len(data) != segment.stored_bytes:
        raise DamagedArchiveError(
            f"{segment.file}: {len(data)} bytes, the manifest says {segment.stored_bytes}"
        )
    if sha256(data).hexdigest() != segment.sha256:
        raise DamagedArchiveError(
            f"{segment.file}: another checksum than the manifest's: its bytes changed"
        )
    count = size = 0
    if segment.raw_bytes > RAW_BYTES_MAX:
        raise DamagedArchiveError(
            f"{segment.file}: {segment.raw_bytes} bytes before compression, the limit is"
            f" {RAW_BYTES_MAX}"
        )
    for lines in _split(segment, data):
        count += len(lines)
        size += sum(map(len, lines)) + len(lines)
        yield lines
    if (count, size) != (segment.count, segment.raw_bytes):
        raise DamagedArchiveError(
            f"{segment.file}: {count} entries of {size} bytes, the manifest says"
            f" {segment.count} of {segment.raw_bytes}"
        )


def _split(segment: Segment, data: bytes) -> Iterator[list[bytes]]:
    """Yield the lines; of what is not yielded yet, no more is held than two lines can have."""
    reader = decompressor().stream_reader(data)
    size, lines, lines_bytes = 0, list[bytes](), 0
    unfinished, unfinished_bytes = list[bytes](), 0
    try:
        while size <= segment.raw_bytes and (block := reader.read(_READ_BYTES)):
            size += len(block)
            first, *others = block.split(b"\n")
            unfinished.append(first)
            unfinished_bytes += len(first)
            if unfinished_bytes > LINE_BYTES_MAX:
                raise DamagedArchiveError(
                    f"{segment.file}: a line has more than {LINE_BYTES_MAX} bytes"
                )
            if others:
                lines += (b"".join(unfinished), *others[:-1])
                lines_bytes += unfinished_bytes + len(block)
                unfinished, unfinished_bytes = [others[-1]], len(others[-1])
            while len(lines) >= CHUNK or (lines and lines_bytes >= _CHUNK_BYTES):
                yield lines[:CHUNK]
                del lines[:CHUNK]
                lines_bytes = 0
    except zstandard.ZstdError as error:
        raise DamagedArchiveError(f"{segment.file}: {error}") from None
    if unfinished_bytes:
        raise DamagedArchiveError(f"{segment.file}: its last line does not end")
    if lines:
        yield lines


def _entries(segment: Segment, lines: list[bytes]) -> Iterator[tuple[EntryId, list[bytes]]]:
    previous, last = None, segment.last_id
    for line in lines:
        try:
            _, entry_id, strings = entry_of(line)
        except EntryLineError as error:
            raise DamagedArchiveError(f"{segment.file}: {error}") from None
        is_ascending = previous is None or entry_id > previous
        if not (is_ascending and segment.first_id <= entry_id <= last):
            raise DamagedArchiveError(f"{segment.file}: entry {entry_id} is out of order")
        previous = entry_id
        yield entry_id, strings
