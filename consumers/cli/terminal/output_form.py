"""The forms of output that `-o` chooses from, and how values are printed in them."""

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
"""The struct of a command's rows; its fields are the names in JSON and the header of CSV.

Several structs if rows differ: the header has the fields of all.
"""

FOR_TABLE = "for the table"
ForTable = Annotated[Row, FOR_TABLE]
"""A field of a row that only its table shows; it is left out of JSON and CSV."""

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
        """Whether all columns are shown, without a limit of width."""
        return self is OutputForm.WIDE

    @property
    def is_lines(self) -> bool:
        """Whether each value has a line of its own, so that it can be printed at once."""
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
    """Return the names of the fields that rows of *kind* can have in JSON and CSV."""
    kinds: tuple[type, ...] = kind if isinstance(kind, tuple) else (kind,)
    return tuple(dict.fromkeys(name for one in kinds for name in _fields(one)))


@cache
def _fields(kind: type) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        name for name, hint in hints.items() if FOR_TABLE not in getattr(hint, "__metadata__", ())
    )


def as_json(value: object) -> bytes:
    """Return *value* as JSON on one line; types that JSON does not know become text.

    Control characters are always escaped, as JSON allows.
    """
    raw = msgspec.json.encode(_plain(value), enc_hook=str)
    text = raw.decode()
    if text.isprintable():
        return raw
    return "".join(c if c.isprintable() else dumps(c)[1:-1] for c in text).encode()


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a row as those of its `json_fields` that are set, and an entry id as text."""
    if isinstance(value, msgspec.Struct):
        pairs = ((name, getattr(value, name)) for name in _fields(type(value)))
        return {name: _plain(inner) for name, inner in pairs if inner is not msgspec.UNSET}
    if isinstance(value, EntryId):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def print_values(output: OutputForm, kind: Kind[Row], values: Iterable[Row]) -> None:
    """Print *values* as one JSON list, as one JSON value a line, or as CSV.

    The header of the CSV is always that of *kind*, also if there are no values, or if a field is
    missing in all of them.
    """
    if output is OutputForm.JSON:
        click.echo(msgspec.json.format(as_json(list(values)), indent=2).decode())
    elif output is OutputForm.CSV:
        print_csv(values, kind)
    else:
        for value in values:
            click.echo(as_json(value).decode())


def print_csv(values: Iterable[Any], kind: Kind[Any] | None = None) -> None:
    """Print *values* as CSV under a header, which is printed once.

    A nested value is printed as JSON; on a terminal control characters are escaped. Without *kind*
    the header has the fields of the values: for a single value that always has the same fields.
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
    # Without `color`, click removes colour codes from a pipe; here they are part of the data.
    click.echo(text.getvalue(), nl=False, color=True)


def _is_new_header(names: tuple[str, ...]) -> bool:
    """Whether the header was not printed yet; each redrawn screen is a new output."""
    meta = click.get_current_context().meta
    printed, meta[_HEADER] = meta.get(_HEADER), (sys.stdout, names)
    return bool(printed != meta[_HEADER])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value).decode()
