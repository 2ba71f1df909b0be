"""Opens the target of an export: a file that is replaced as a whole, or a byte stream."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import click

from consumers.cli.terminal.interrupt import interrupted_at_once
from events.archive.whole_file import replacing
from events.errors import EventsError

STDOUT = "-"


class ExportFailedError(EventsError):
    """The target of an export cannot be written."""


@contextmanager
def export_target(file: str) -> Iterator[BinaryIO]:
    """Open *file* for an export.

    A regular file is replaced when the block ends without an error, and stays unchanged otherwise;
    a symlink stays, and its target is replaced. A fifo or a character device is written directly.

    Raises:
        ExportFailedError: The target cannot be written completely.
        click.UsageError: An export cannot be written to this kind of file.
    """
    outcome = "it is as it was before"
    try:
        target: AbstractContextManager[BinaryIO]
        if file == STDOUT:
            target, outcome = nullcontext(sys.stdout.buffer), "not all was written"
        elif _takes_bytes(Path(file)):
            target, outcome = _opened(Path(file)), "not all was written"
        else:
            target = replacing(Path(os.path.realpath(file)))
        with target as opened:
            yield opened
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise ExportFailedError(f"{file}: {problem}; {outcome}") from error


def _takes_bytes(path: Path) -> bool:
    """Whether *path* is a fifo or a character device; False for a regular or missing file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return True
    if not stat.S_ISREG(mode):
        raise click.UsageError(
            f"FILE {path} is a directory, a block device or a socket; an export is written to a"
            " file, a fifo or a character device"
        )
    return False


def _opened(path: Path) -> BinaryIO:
    with interrupted_at_once():  # opening a fifo waits for a reader
        return path.open("wb")
