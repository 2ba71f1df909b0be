"""The terminal: what all commands share in talking to a person or a program.

Data goes to standard output, talk to standard error. Exit codes: 0 done, 1 failed or differs,
2 usage, 3 not found, 4 no connection, 130 interrupted.
"""

import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from functools import wraps
from io import StringIO
from typing import Any, Concatenate, Literal, ParamSpec

import anyio
import click
import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from events.errors import ServerUnavailableError
from events.keys import Keys
from events.log import EventLog
from events.server import ServerSettings, open_server
from events.table import Column, table_of

OutputForm = Literal["table", "json", "jsonl"]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_NO_CONNECTION = 4
EXIT_INTERRUPTED = 130

WIDE_FROM = 120
"""Columns from which on a terminal has room for whole ids of endpoints, and for dates."""

_WATCH_MIN_S = 0.1
_SHORT_ID_CHARACTERS = 8
_UNBOUNDED_WIDTH = 1_000_000

P = ParamSpec("P")


class NotFoundError(click.ClickException):
    """What was named is not there."""

    exit_code = EXIT_NOT_FOUND


class NotConfirmedError(click.UsageError):
    """A writing command was neither confirmed nor could it ask."""


class Deployment(msgspec.Struct, frozen=True):
    """Which log a command works on, and as whom: click's context object."""

    server: ServerSettings
    namespace: str
    partitions: int | None = None
    source: str = "routestream"

    @asynccontextmanager
    async def open_log(self, *, create: bool = False) -> AsyncIterator[EventLog]:
        """Open the log; without *create* nothing is written, not even that it exists."""
        async with open_server(self.server) as server:
            yield await EventLog.open(
                server,
                Keys(self.namespace),
                partitions=self.partitions,
                source=self.source,
                create=create,
            )


def command_of(
    run: Callable[Concatenate[Deployment, P], Awaitable[None]],
) -> Callable[P, None]:
    """Make a click callback of an async function that takes the deployment first."""

    @wraps(run)
    def callback(*args: P.args, **kwargs: P.kwargs) -> None:
        deployment = click.get_current_context().ensure_object(Deployment)

        async def call() -> None:
            await run(deployment, *args, **kwargs)

        anyio.run(call)

    return callback


output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="How to print: a table to read, one JSON value, or one JSON value a line.",
)

watch_option = click.option(
    "--watch",
    type=click.FloatRange(min=_WATCH_MIN_S),
    is_flag=False,
    flag_value=2.0,
    default=None,
    metavar="[SECONDS]",
    help="Print again every SECONDS (2 unless given) until interrupted.",
)

yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")


def print_rows(
    output: OutputForm,
    columns: Sequence[str | Column],
    rows: Iterable[Sequence[object]],
    values: Iterable[Any],
    *,
    nothing: str | None = None,
) -> None:
    """Print *rows* under *columns* as a table, or *values* as JSON.

    A column given by its name alone folds. Where there are no rows, a table is the note *nothing*
    on standard error.
    """
    match output:
        case "json":
            click.echo(msgspec.json.format(_json(list(values)), indent=2).decode())
        case "jsonl":
            for value in values:
                click.echo(_json(value).decode())
        case "table":
            filled = [[as_text(cell) for cell in row] for row in rows]
            if not filled and nothing is not None:
                click.echo(nothing, err=True)
                return
            as_columns = [Column(c, folds=True) if isinstance(c, str) else c for c in columns]
            print_rich(table_of(as_columns, filled, _room()))


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print what each name stands for, one a line; what is None is left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(name, as_text(value))
    print_rich(grid)


def print_rich(shown: RenderableType) -> None:
    """Print it as wide as the terminal is; into a pipe or a file as wide as it wants to be."""
    console = Console(width=_room() or _UNBOUNDED_WIDTH)
    with console.capture() as capture:
        console.print(shown)
    # click ends quietly where rich would exit: when nobody reads on.
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _room() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def as_text(cell: object) -> Text:
    """Return *cell* as it may be shown: None as nothing, what would steer a terminal escaped."""
    if isinstance(cell, Text):
        return cell
    return Text("" if cell is None else printable(str(cell)))


def printable(text: str) -> str:
    """Escape what would break a line or steer the terminal: others wrote it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_narrow() -> bool:
    """Whether a person reads this, on a terminal with little room."""
    room = _room()
    return room is not None and room < WIDE_FROM


def short_id(some_id: object) -> str:
    """Return the first characters of an id: enough to tell it from others, and to name it."""
    return str(some_id)[:_SHORT_ID_CHARACTERS]


def print_value(output: OutputForm, value: object) -> None:
    """Print one value as JSON, on several lines or on one."""
    raw = _json(value)
    shown = raw if output == "jsonl" else msgspec.json.format(raw, indent=2)
    click.echo(shown.decode())


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


async def watched(
    every_s: float | None,
    show: Callable[[], Awaitable[None]],
    waits_for: tuple[type[Exception], ...] = (),
) -> None:
    """Show once, or again and again every *every_s* seconds until interrupted.

    On a terminal the new takes the place of the old at once. Who watches waits also while the
    server is away or one of *waits_for* is raised, and keeps seeing what there was.
    """
    if every_s is None:
        await show()
        return
    patient: tuple[type[Exception], ...] = (ServerUnavailableError, *waits_for)
    while True:
        try:
            await (_redraw(show) if sys.stdout.isatty() else show())
        except patient as error:
            click.echo(f"trying again: {error}", err=True)
        await anyio.sleep(every_s)


class _Screen(StringIO):
    def isatty(self) -> bool:
        return True


async def _redraw(show: Callable[[], Awaitable[None]]) -> None:
    screen = _Screen()
    with redirect_stdout(screen), redirect_stderr(screen):
        await show()
    click.clear()
    click.echo(screen.getvalue(), nl=False)


def confirm(plan: Iterable[tuple[str, object, object]], *, yes: bool) -> None:
    """Print the plan, what will change from what to what, and go on only if that is wanted.

    Raises:
        NotConfirmedError: There is no terminal to ask at, and no `--yes`.
        click.ClickException: The answer was no.
    """
    for what, before, after in plan:
        click.echo(f"{what}: {before} -> {after}", err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmedError("there is no terminal to ask at; add --yes to do it")
    if not click.confirm("Do it?", err=True):
        raise click.ClickException("nothing was recorded, as you said")
