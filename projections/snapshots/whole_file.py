"""The whole file: written beside, synced and checked, and only then in its place."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

_READ_BYTES = 1_048_576

Written = TypeVar("Written")


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield where to write what `take_place` lets take *path*'s place; what is left there goes."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_synced(path: Path, write: Callable[[Any], Written]) -> Written:
    """Write a file, and return what *write* did when a crash does not lose it any more."""
    with path.open("wb") as file:
        written = write(file)
        file.flush()
        os.fsync(file.fileno())
    return written


def take_place(temporary: Path, path: Path) -> None:
    """Rename, and sync the folder, so that *path* is the file before or the new one, whole."""
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def checksum_at(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return checksum_of(file)


def checksum_of(reader: Any) -> str:  # noqa: ANN401 - a binary file, or zstandard's
    """Return the SHA-256 of all that is left to read."""
    digest = sha256()
    while chunk := reader.read(_READ_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
