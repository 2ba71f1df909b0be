"""Replace a file as a whole: write it under another name, sync it, then rename it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from events.archive.errors import DamagedArchiveError

TEMPORARY: Final = ".tmp"
"""Suffix of files that are being written, or whose writer died."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that replaces *path* when the block ends without an error.

    After an error *path* is unchanged, and no other file is left. After a crash *path* is the old
    file or the new one, whole.

    Raises:
        OSError: The file cannot be written, synced or renamed.
    """
    with temporary_path(path) as temporary:
        with writing_synced(temporary) as file:
            yield file
        take_place(temporary, path)


@contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write before `take_place`; delete what is left of it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{time.monotonic_ns()}{TEMPORARY}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing_synced(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file; once the block has ended, a crash does not lose its content."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def take_place(temporary: Path, path: Path) -> None:
    """Rename *temporary* to *path*, and sync the folder."""
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync *folder*, so that a crash does not lose the names of its files."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def check_size(name: str, size: int, bytes_max: int) -> None:
    """Raise DamagedArchiveError if the file *name* has more than *bytes_max* bytes."""
    if size > bytes_max:
        raise DamagedArchiveError(f"{name}: {size} bytes, at most {bytes_max} are expected")
