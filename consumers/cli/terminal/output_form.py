"""The form: how a reading command prints, as `-o` says."""

import sys
from collections.abc import Iterable, Mapping
from csv import writer
from enum import Enum
from functools import cache
from io import StringIO
from json import dumps
from typing import Annotated, Any, TypeVar, get_type_hints

import click
import msgspec

from consumers.cli.terminal.messages import printable
from events.entry.entry_id import EntryId

Row = TypeVar("Row")
Kind = type[Row] | tuple[type[Row], ...]
"""The struct that a command's rows are: its fields are the names in JSON, and the header of CSV.

Several where rows differ: the header has the fields of all.
"""

FOR_TABLE = "for the table"
ForTable = Annotated[Row, FOR_TABLE]
"""A field of a row that only its table needs, and no program reads."""

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


def json_fields(kind: Kind[Any]) -> tuple[str, ...]:
    """Return the names of the fields that rows of *kind* can have for a program."""
    kinds: tuple[type, ...] = kind if isinstance(kind, tuple) else (kind,)
    return tuple(dict.fromkeys(name for one in kinds for name in _fields(one)))


@cache
def _fields(kind: type) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        name for name, hint in hints.items() if FOR_TABLE not in getattr(hint, "__metadata__", ())
    )


def as_json(value: object) -> bytes:
    """Return *value* as JSON on one line; what JSON does not know as its text.

    What would steer a terminal is escaped as JSON has it, wherever it goes.
    """
    raw = msgspec.json.encode(_plain(value), enc_hook=str)
    text = raw.decode()
    if text.isprintable():
        return raw
    return "".join(c if c.isprintable() else dumps(c)[1:-1] for c in text).encode()


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a row as its `json_fields`, those that are set, and an entry id as its text."""
    if isinstance(value, msgspec.Struct):
        pairs = ((name, getattr(value, name)) for name in _fields(type(value)))
        return {name: _plain(inner) for name, inner in pairs if inner is not msgspec.UNSET}
    if isinstance(value, EntryId):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def print_values(output: OutputForm, kind: Kind[Row], values: Iterable[Row]) -> None:
    """Print *values* as one JSON list, or one a line, or as CSV.

    The header of the CSV is always the same, that of *kind*: also where there are no values, and
    where none has a field.
    """
    if output is OutputForm.JSON:
        click.echo(msgspec.json.format(as_json(list(values)), indent=2).decode())
    elif output is OutputForm.CSV:
        print_csv(values, kind)
    else:
        for value in values:
            click.echo(as_json(value).decode())


def print_csv(values: Iterable[Any], kind: Kind[Any] | None = None) -> None:
    """Print *values* under the names of their fields, which are printed once.

    A value within a value stands as JSON; on a terminal, what would steer it is escaped. Without
    *kind* they are those of the values: for one that is alone, and always has the same.
    """
    plain = map(_plain, values)
    rows: list[Mapping[str, Any]] = [msgspec.to_builtins(one, enc_hook=str) for one in plain]
    names = json_fields(kind) if kind else tuple(dict.fromkeys(one for row in rows for one in row))
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
