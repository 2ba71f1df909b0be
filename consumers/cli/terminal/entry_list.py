"""Prints entries one by one as they come, in the chosen form of output."""

import textwrap
from collections.abc import AsyncGenerator

import click
import msgspec

from consumers.cli.terminal.entry_json import EntryValue
from consumers.cli.terminal.entry_line import LinePrinter
from consumers.cli.terminal.entry_reading import EntryReading
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.output import print_value
from consumers.cli.terminal.output_form import OutputForm, as_json, print_csv
from events.entry.recorded import Entry

_INDENT = 2


async def print_entries(
    output: OutputForm, reading: EntryReading, entries: AsyncGenerator[Entry], limit: int | None
) -> int:
    """Print the first *limit* entries, and return how many were printed."""
    printed = 0
    print_line = LinePrinter(output)
    while limit is None or printed < limit:
        entry = await anext(entries, None)
        if entry is None:
            break
        if output.is_table:
            print_line(reading.line(entry, wide=output.is_wide))
        elif output.is_lines:
            print_value(output, reading.value(entry), EntryValue)
        else:
            _print_item(reading.value(entry), is_first=not printed)
        printed += 1
    if output is OutputForm.JSON:
        click.echo("\n]" if printed else "[]")
    elif not printed and output is OutputForm.CSV:
        print_csv((), EntryValue)
    elif not printed and output.is_table:
        say("no events")
    return printed


def _print_item(value: object, *, is_first: bool) -> None:
    """Print one value of a list that is never held as a whole."""
    text = msgspec.json.format(as_json(value), indent=_INDENT).decode()
    click.echo(("[\n" if is_first else ",\n") + textwrap.indent(text, " " * _INDENT), nl=False)
