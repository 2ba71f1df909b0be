"""A file that is replaced as a whole: written under another name, synced, then renamed."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

TEMPORARY: Final = ".tmp"
"""How the names of files end that are being written, or whose writer died."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes *path*'s place when the block ends well.

    When it does not, *path* is as it was, and nothing else is left. After a crash it is the old
    file or the new one, whole.

    Raises:
        OSError: It cannot be written to its end, synced or renamed.
    """
    with temporary_path(path) as temporary:
        with writing_synced(temporary) as file:
            yield file
        take_place(temporary, path)


@contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """Yield where to write what `take_place` puts in *path*'s place; delete what is left there."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{time.monotonic_ns()}{TEMPORARY}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing_synced(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file; a crash does not lose what was written once the block has ended."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def take_place(temporary: Path, path: Path) -> None:
    """Rename *temporary* to *path*, and sync the folder."""
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let a crash not lose which files *folder* has."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
