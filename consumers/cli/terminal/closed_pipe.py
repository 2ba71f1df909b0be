"""The closed pipe: nobody reads on, as behind `| head`, and that is no failure."""

import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from consumers.cli.terminal.exit_code import EXIT_CLOSED_PIPE
from consumers.cli.terminal.standard_output import drop_output


@contextmanager
def quiet_on_closed_pipe() -> Iterator[None]:
    """End the program without a word where nobody reads its standard output any more."""
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
    """Whether it is standard output, and no other pipe, that has no reader."""
    try:
        polled = select.poll()
        polled.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in polled.poll(0))
    except (OSError, ValueError):
        return False
