"""The terminal: what all commands share in talking to a person or a program.

Data goes to standard output, talk to standard error. Exit codes: 0 done, 1 failed or differs,
2 usage, 3 not found, 4 no connection, 130 interrupted.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec

import anyio
import click
import msgspec
from rich.console import Console
from rich.table import Table

from events.keys import Keys
from events.log import EventLog
from events.server import ServerSettings, open_server

OutputForm = Literal["table", "json", "jsonl"]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_NO_CONNECTION = 4
EXIT_INTERRUPTED = 130

_WATCH_MIN_S = 0.1

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
    source: str = "routestream"

    @asynccontextmanager
    async def open_log(self, *, create: bool = False) -> AsyncIterator[EventLog]:
        """Open the log; without *create* nothing is written, not even that it exists."""
        async with open_server(self.server) as server:
            yield await EventLog.open(
                server, Keys(self.namespace), source=self.source, create=create
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
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    values: Iterable[Any],
) -> None:
    """Print *rows* under *columns* as a table, or *values* as JSON."""
    match output:
        case "json":
            click.echo(msgspec.json.format(_json(list(values)), indent=2).decode())
        case "jsonl":
            for value in values:
                click.echo(_json(value).decode())
        case "table":
            table = Table(box=None, pad_edge=False, header_style="bold")
            for column in columns:
                table.add_column(column, overflow="fold")
            for row in rows:
                table.add_row(*("" if cell is None else str(cell) for cell in row))
            Console(soft_wrap=False).print(table)


def print_value(output: OutputForm, value: object) -> None:
    """Print one value as JSON, on several lines or on one."""
    raw = _json(value)
    shown = raw if output == "jsonl" else msgspec.json.format(raw, indent=2)
    click.echo(shown.decode())


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


async def watched(every_s: float | None, show: Callable[[], Awaitable[None]]) -> None:
    """Show once, or again and again every *every_s* seconds until interrupted."""
    while True:
        if every_s is not None and sys.stdout.isatty():
            click.clear()
        await show()
        if every_s is None:
            return
        await anyio.sleep(every_s)


def confirm(plan: Iterable[tuple[str, object, object]], *, yes: bool) -> None:
    """Print the plan, what will change from what to what, and go on only if that is wanted.

    Raises:
        NotConfirmedError: There is no terminal to ask at, and no `--yes`.
        click.Abort: The answer was no.
    """
    for what, before, after in plan:
        click.echo(f"{what}: {before} -> {after}", err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmedError("there is no terminal to ask at; add --yes to do it")
    click.confirm("Do it?", abort=True, err=True)
