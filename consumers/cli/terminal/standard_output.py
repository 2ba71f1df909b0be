"""Wraps standard output, so that a full or closed output is reported as such."""

import errno
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path

import click

from consumers.cli.terminal.messages import EXIT_CLOSED_PIPE

_NUMBER = 1


class OutputError(click.ClickException):
    """A write to standard output failed."""

    def __init__(self, error: OSError) -> None:
        closed = error.errno == errno.EBADF
        reason = "it is closed" if closed else os.strerror(error.errno or errno.EIO).lower()
        super().__init__(f"cannot write the output: {reason}")


class _Raw(FileIO):
    def write(self, data: bytes | memoryview, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            raise  # the reader has ended, which is not a failure
        except OSError as error:
            drop_output()
            raise OutputError(error) from None


def drop_output() -> None:
    """Discard buffered output, so that it does not fail again when the interpreter exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _NUMBER)


def hold_standard_streams() -> None:
    """Wrap stdout so that a failed write raises OutputError; called once, at the start.

    A closed standard stream is opened on the null device: otherwise a socket would get its number,
    and receive what is printed.
    """
    if getattr(sys, "stdin", None) is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - held to the end
    given: TextIOWrapper | None = getattr(sys, "stdout", None)
    if given is None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), _NUMBER)
    sys.stdout = TextIOWrapper(
        BufferedWriter(_Raw(_NUMBER, "wb", closefd=False)),
        encoding=given.encoding if given else "utf-8",
        errors=given.errors if given else None,
        newline="\n",
        line_buffering=given is not None and given.line_buffering,
        write_through=given is not None and given.write_through,
    )
    if getattr(sys, "stderr", None) is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - held to the end


@contextmanager
def quiet_on_closed_pipe() -> Iterator[None]:
    """End the program silently if the reader of its standard output has ended."""
    try:
        yield
    except (BrokenPipeError, BaseExceptionGroup) as error:
        if not (_is_broken_pipe(error) and _is_closed()):
            raise
        drop_output()
        raise SystemExit(EXIT_CLOSED_PIPE) from None


def _is_broken_pipe(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_broken_pipe(one) for one in error.exceptions)
    return isinstance(error, BrokenPipeError)


def _is_closed() -> bool:
    """Whether standard output, and not another pipe, has no reader."""
    try:
        polled = select.poll()
        polled.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in polled.poll(0))
    except (OSError, ValueError):
        return False
