"""Prints the data of commands for a person or a program, and asks for confirmation.

Data goes to standard output, messages to standard error. Exit codes: 0 done, 1 failed or differs,
2 usage, 3 not found, 4 no connection, 130 interrupted.
"""

import os
import shutil
import sys
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console, RenderableType
from rich.table import Table

from consumers.cli.terminal.interrupt import interrupted_at_once
from consumers.cli.terminal.messages import EXIT_NOT_FOUND, printable, say
from consumers.cli.terminal.output_form import (
    Kind,
    OutputForm,
    as_json,
    output_option,
    print_csv,
    print_values,
)
from consumers.cli.terminal.table import Column, Row, TablePages, as_text, table_of
from consumers.cli.terminal.watch import watch_option, watched

__all__ = ("OutputForm", "output_option", "printable", "watch_option", "watched")

WIDE_FROM = 120
"""Width from which on a terminal has room for whole ids of endpoints, and for dates."""

_SHORT_ID_CHARACTERS = 8
_UNBOUNDED_WIDTH = 1_000_000


class NotFoundError(click.ClickException):
    """A named thing does not exist."""

    exit_code = EXIT_NOT_FOUND


class NotConfirmedError(click.UsageError):
    """A writing command was not confirmed, and there is no terminal to ask at."""


yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")


def print_rows(
    output: OutputForm,
    kind: Kind[Row],
    rows: Iterable[Row],
    columns: Iterable[Column[Row]],
    *,
    nothing: str | None = None,
) -> None:
    """Print *rows* as a table of *columns*, or their fields as values; see `print_values`."""
    if output.is_table:
        print_table(output, columns, rows, nothing=nothing)
    else:
        print_values(output, kind, rows)


async def print_row_pages(
    output: OutputForm,
    kind: Kind[Row],
    pages: AsyncIterable[Sequence[Row]],
    columns: Iterable[Column[Row]],
    *,
    nothing: str | None = None,
) -> None:
    """Print rows as `print_rows` does, a table page after page while the next ones are made."""
    if not output.is_table:
        print_values(output, kind, [row async for page in pages for row in page])
        return
    table = TablePages(columns, room_of(output), wide=output.is_wide)
    is_empty = True
    async for page in pages:
        print_rich(output, table.page(page))
        is_empty = False
    if is_empty and nothing is not None:
        say(nothing)


def print_table(
    output: OutputForm,
    columns: Iterable[Column[Row]],
    rows: Iterable[Row],
    *,
    nothing: str | None = None,
) -> None:
    """Print *rows* under *columns*; without rows, print *nothing* on standard error."""
    shown = list(rows)
    if not shown and nothing is not None:
        say(nothing)
        return
    print_rich(output, table_of(columns, shown, room_of(output), wide=output.is_wide))


def print_pairs(output: OutputForm, pairs: Iterable[tuple[str, object]]) -> None:
    """Print each name with its value, one a line; values of None are left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(as_text(name), as_text(value, wide=output.is_wide))
    print_rich(output, grid)


def print_rich(output: OutputForm, shown: RenderableType) -> None:
    """Print *shown* as wide as the terminal; into a pipe or a file without a limit."""
    console = Console(
        width=room_of(output) or _UNBOUNDED_WIDTH,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )
    with console.capture() as capture:
        console.print(shown)
    # On a closed pipe click ends quietly, where rich would exit.
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def room_of(output: OutputForm) -> int | None:
    """Return the width of the terminal; None if the output need not fit into any width."""
    if output.is_wide or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def is_narrow(output: OutputForm) -> bool:
    """Whether the output goes to a narrow terminal."""
    room = room_of(output)
    return room is not None and room < WIDE_FROM


def short_id(some_id: object) -> str:
    """Return the first characters of an id: enough to distinguish it, and to name it."""
    return str(some_id)[:_SHORT_ID_CHARACTERS]


def shown_id(some_id: object, *, wide: bool) -> str:
    """Return the id as a table shows it: whole in a *wide* table, else its `short_id`."""
    return str(some_id) if wide else short_id(some_id)


def print_value(output: OutputForm, value: object, kind: Kind[Any] | None = None) -> None:
    """Print one value as JSON, on several lines or on one, or as CSV; see `print_csv`."""
    if output is OutputForm.CSV:
        print_csv([value], kind)
        return
    raw = as_json(value)
    shown = raw if output is OutputForm.JSONL else msgspec.json.format(raw, indent=2)
    click.echo(shown.decode())


def confirm(plan: Iterable[tuple[str, object, object]], *, yes: bool) -> None:
    """Print the plan as what changes, from what, to what; return only if it is confirmed.

    Raises:
        NotConfirmedError: There is no terminal to ask at, and `--yes` was not given.
        click.ClickException: The answer was no.
    """
    for what, before, after in plan:
        say(f"{what}: {before} -> {after}")
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmedError("there is no terminal to ask at; add --yes to do it")
    with interrupted_at_once():
        wanted = click.confirm("Do it?", err=True)
    if not wanted:
        raise click.ClickException("aborted; nothing changed")
