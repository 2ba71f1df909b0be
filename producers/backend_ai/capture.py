"""Read a capture: Redis commands of a Backend.AI cluster, one per line.

A line is a JSON object: `t` (seconds since the capture began), `db` (the Redis database) and
`args` (the command, name first; an argument that is not text is written as `{"b64": ...}`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta

from events.entry.stored_json import UNREADABLE
from events.transfer.export_file import FORMAT
from producers.errors import ProducersError

LINE_BYTES_MAX = 4_194_304
"""Maximum bytes of one line; a list of 1,000 routes takes about 250,000."""


class Command(msgspec.Struct, frozen=True):
    """One Redis command.

    Attributes:
        line: Its line in the file; the first line is 1.
        t_s: Seconds since the capture began.
        db: The Redis database it went to.
        args: Its name and its arguments.
    """

    line: int
    t_s: float
    db: int
    args: tuple[bytes, ...]


class UnreadableCaptureError(ProducersError):
    """A capture cannot be read; the message names the file, the line and the problem."""


class _CapturedBytes(msgspec.Struct):
    b64: bytes


class _CaptureLine(msgspec.Struct):
    t: Annotated[float, Meta(ge=0, le=10_000_000_000)]
    db: Annotated[int, Meta(ge=0)]
    args: Annotated[list[str | _CapturedBytes], Meta(min_length=1)]


_DECODER = msgspec.json.Decoder(_CaptureLine)


def read_capture(path: str | Path) -> Iterator[Command]:
    """Yield the commands of the file in order; empty lines are skipped.

    Raises:
        UnreadableCaptureError: The file does not exist or cannot be opened, or a line is broken;
            the commands before that line have been yielded.
    """
    try:
        with Path(path).open("rb") as file:
            for number, line in _lines(path, file):
                yield _command(path, number, line)
    except OSError as error:
        raise UnreadableCaptureError(f"{path}: {error.strerror or error}") from error


def _lines(path: str | Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise UnreadableCaptureError(
                f"{path}, line {number}: it is longer than {LINE_BYTES_MAX} bytes"
            )
        if line.strip():
            yield number, line


def _command(path: str | Path, number: int, line: bytes) -> Command:
    try:
        decoded = _DECODER.decode(line)
        args = tuple(arg.encode() if isinstance(arg, str) else arg.b64 for arg in decoded.args)
    except UNREADABLE as error:
        if number == 1 and f'"{FORMAT}"'.encode() in line:
            raise UnreadableCaptureError(
                f"{path}: it is an export of a log: `routestream events import-log` takes it"
            ) from None
        raise UnreadableCaptureError(f"{path}, line {number}: {error}") from None
    return Command(number, decoded.t, decoded.db, args)
