"""Repeats a reading command at an interval: the option `--watch`."""

import re
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import anyio
import click

from consumers.cli.terminal.messages import say
from events.errors import ServerUnavailableError

WATCH_MIN_S = 0.1
WATCH_MAX_S = 86_400.0
_DEFAULT = "2s"
_INTERVAL = re.compile(r"(\d{1,8}(?:\.\d{1,3})?)(ms|s|m)?\Z", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0}

# Redraw in place: do not wrap, clear the end of each line, and clear all below the last.
_HOME, _LINE_END, _REST = "\x1b[?7l\x1b[H", "\x1b[K\n", "\x1b[J\x1b[?7h"


def _interval(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Read a span of time such as `2`, `2s`, `500ms` or `1m`; return seconds."""
    if text is None:
        return None
    read = _INTERVAL.match(text)
    if read is None:
        raise click.BadParameter(
            f"{text!r} is no interval such as 2s, 500ms or 1m (before an argument, write"
            f" --watch={_DEFAULT})",
            context,
            parameter,
        )
    seconds = float(read[1]) * _UNIT_S[read[2] or "s"]
    if not WATCH_MIN_S <= seconds <= WATCH_MAX_S:
        raise click.BadParameter(
            f"{text!r} is not between {WATCH_MIN_S:g}s and {WATCH_MAX_S:g}s", context, parameter
        )
    return seconds


watch_option = click.option(
    "--watch",
    is_flag=False,
    flag_value=_DEFAULT,
    default=None,
    metavar="[INTERVAL]",
    callback=_interval,
    help=f"Print again every INTERVAL, such as 500ms, 2s or 1m ({_DEFAULT} unless given), until"
    " interrupted.",
)


async def watched(
    every_s: float | None,
    show: Callable[[], Awaitable[None]],
    waits_for: tuple[type[Exception], ...] = (),
) -> None:
    """Show once, or repeat every *every_s* seconds until interrupted.

    On a terminal the new output replaces the old at once. While the server is away or one of
    *waits_for* is raised, the old output stays and the command tries again.
    """
    if every_s is None:
        await show()
        return
    patient: tuple[type[Exception], ...] = (ServerUnavailableError, *waits_for)
    is_terminal = sys.stdout.isatty()
    if is_terminal:
        click.clear()
    while True:
        try:
            await (_redraw(show) if is_terminal else show())
        except patient as error:
            say(f"trying again: {error}")
        except click.exceptions.Exit:
            pass  # what was shown is for the eye here: it may differ, or be empty, and change
        await anyio.sleep(every_s)


class _Screen(StringIO):
    def isatty(self) -> bool:
        return True


async def _redraw(show: Callable[[], Awaitable[None]]) -> None:
    screen = _Screen()
    with redirect_stdout(screen), redirect_stderr(screen):
        await show()
    lines = screen.getvalue().splitlines()
    room = max(2, shutil.get_terminal_size().lines - 1)
    if len(lines) > room:
        left = len(lines) - room + 1
        lines = [*lines[: room - 1], f"... {left} more lines; a taller terminal shows them"]
    click.echo(f"{_HOME}{''.join(line + _LINE_END for line in lines)}{_REST}", nl=False)
