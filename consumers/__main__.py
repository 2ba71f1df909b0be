"""Starts the `routestream` command; modules that take time are imported later."""

import os
import signal
from contextlib import suppress
from types import FrameType

_STANDARD_ERROR = 2
_INTERRUPTED = 130


def main() -> None:
    """Run the command; an interrupt ends the program quietly, however early it comes."""
    # Python's own handler raises wherever the program is, and an import may swallow the exception.
    # A running command has a handler of its own: see `consumers.cli.terminal.interrupt`.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from consumers.cli.program import run_program  # noqa: PLC0415 - an interrupt may come meanwhile

    run_program()


def _end(_number: int, _frame: FrameType | None) -> None:
    """End at once: no command has begun yet, or it has ended."""
    with suppress(OSError):
        os.write(_STANDARD_ERROR, b"interrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
