"""The target of an export: a file that is new and whole or as it was, or what takes any bytes."""

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
    """The file cannot be written."""


@contextmanager
def export_target(file: str) -> Iterator[BinaryIO]:
    """Open what FILE names for an export.

    A regular file is replaced when the block ends well, and is as it was when not; a symlink stays,
    and what it leads to is replaced. A fifo or a character device is written as the bytes come.

    Raises:
        ExportFailedError: It cannot be written, or not to its end.
        click.UsageError: It is nothing that an export can be written to.
    """
    left = "it is as it was before"
    try:
        target: AbstractContextManager[BinaryIO]
        if file == STDOUT:
            target, left = nullcontext(sys.stdout.buffer), "not all was written"
        elif _takes_bytes(Path(file)):
            target, left = _opened(Path(file)), "not all was written"
        else:
            target = replacing(Path(os.path.realpath(file)))
        with target as opened:
            yield opened
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise ExportFailedError(f"{file}: {problem}; {left}") from error


def _takes_bytes(path: Path) -> bool:
    """Whether it is there, and no file that another could take the place of."""
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
    with interrupted_at_once():  # a fifo opens only when somebody reads it
        return path.open("wb")
