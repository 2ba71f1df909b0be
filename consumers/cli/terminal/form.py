"""The form: how a reading command prints, as `-o` says."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from csv import writer
from enum import Enum
from io import StringIO
from json import dumps
from typing import Any

import click
import msgspec

from consumers.cli.terminal.talk import printable

_HEADER = "routestream.csv_header"


class OutputForm(Enum):
    """How a command prints: for a person as a table, or for a program as values."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"

    @property
    def is_table(self) -> bool:
        """Whether a person reads it."""
        return self in {OutputForm.TABLE, OutputForm.WIDE}

    @property
    def is_wide(self) -> bool:
        """Whether a person asked for all there is, however wide."""
        return self is OutputForm.WIDE

    @property
    def is_lines(self) -> bool:
        """Whether each value has its own line, so that it can be printed as soon as it is known."""
        return self in {OutputForm.JSONL, OutputForm.CSV}


output_option = click.option(
    "-o",
    "--output",
    type=click.Choice([form.value for form in OutputForm]),
    default="table",
    show_default=True,
    callback=lambda _context, _option, form: OutputForm(form),
    help="How to print: a table, a table with whole ids, times and more columns; JSON as one value"
    " or one a line; or CSV with a header.",
)


def as_json(value: object) -> bytes:
    """Return *value* as JSON on one line; what JSON does not know as its text.

    What would steer a terminal is escaped as JSON has it, wherever it goes.
    """
    raw = msgspec.json.encode(value, enc_hook=str)
    text = raw.decode()
    if text.isprintable():
        return raw
    return "".join(c if c.isprintable() else dumps(c)[1:-1] for c in text).encode()


def print_values(output: OutputForm, values: Iterable[Any], fields: Sequence[str]) -> None:
    """Print *values* as one JSON list, or one a line, or as CSV.

    *fields* names all that such a value can have: the header of the CSV is always the same, also
    where there are no values, and where none has a field.
    """
    if output is OutputForm.JSON:
        click.echo(msgspec.json.format(as_json(list(values)), indent=2).decode())
    elif output is OutputForm.CSV:
        print_csv(values, fields)
    else:
        for value in values:
            click.echo(as_json(value).decode())


def print_csv(values: Iterable[Any], fields: Sequence[str] | None = None) -> None:
    """Print *values* under the names of their fields, which are printed once.

    A value within a value stands as JSON; on a terminal, what would steer it is escaped. Without
    *fields* they are those of the values: for one that is alone, and always has the same.
    """
    rows: list[Mapping[str, Any]] = [msgspec.to_builtins(v, enc_hook=str) for v in values]
    names = tuple(fields or dict.fromkeys(name for row in rows for name in row))
    text = StringIO()
    write = writer(text, lineterminator="\n").writerow
    if names and _is_new_header(names):
        write(names)
    shown = printable if sys.stdout.isatty() else str
    for row in rows:
        write([shown(_cell(row.get(name))) for name in names])
    # click takes out of a pipe what looks like a colour: here it would be a part of the data.
    click.echo(text.getvalue(), nl=False, color=True)


def _is_new_header(names: tuple[str, ...]) -> bool:
    """Whether it was not printed yet; a screen that is drawn anew is another output each time."""
    meta = click.get_current_context().meta
    printed, meta[_HEADER] = meta.get(_HEADER), (sys.stdout, names)
    return bool(printed != meta[_HEADER])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value).decode()
