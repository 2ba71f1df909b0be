"""Prints entries as lines that a person reads while the log grows."""

import sys
from collections import Counter
from typing import Self

import click
import msgspec
from msgspec.structs import replace
from rich.table import Table
from rich.text import Text

from consumers.cli.terminal.event_summary import summary
from consumers.cli.terminal.output import (
    is_narrow,
    print_rich,
    printable,
    shown_id,
)
from consumers.cli.terminal.output_form import OutputForm
from consumers.cli.terminal.table import as_text, times_of
from events.entry.codec import decode
from events.entry.entry_id import EntryId
from events.entry.position import time_of
from events.entry.recorded import Entry
from events.errors import EventsError
from events.server.reply import text

_WIDTHS = (24, 20, 8, 28, 12)
"""Widths of all columns but the last: time, entry id, endpoint, name, source."""

_UNKNOWN = "?"


class Line(msgspec.Struct, frozen=True):
    """One entry as a line; if it cannot be read, *summary* says why.

    Control characters are escaped when the line is printed. A wide line has whole ids, and the
    local time, too.
    """

    entry_id: EntryId
    endpoint_id: str
    name: str
    source: str
    summary: str
    is_readable: bool = True
    is_wide: bool = False

    @classmethod
    def of(cls, entry: Entry, *, wide: bool = False) -> Self:
        """Return the line of *entry*, as far as it can be read."""
        name, source = text_of(entry, b"name"), text_of(entry, b"source")
        try:
            event = decode(entry).event
        except EventsError as error:
            known = name or _UNKNOWN
            problem = f"{error}{_given_twice(entry)}"
            unread = cls(entry.entry_id, _UNKNOWN, known, source, problem, is_wide=wide)
            return replace(unread, is_readable=False)
        says = summary(event, wide=wide) + _given_twice(entry)
        return cls(entry.entry_id, str(event.endpoint_id), name, source, says, is_wide=wide)

    @property
    def endpoint(self) -> str:
        """The beginning of the endpoint's id; in a wide line the whole id."""
        return shown_id(self.endpoint_id, wide=self.is_wide)

    @property
    def day(self) -> str:
        """The day in UTC on which the entry was appended."""
        return f"{time_of(self.entry_id):%Y-%m-%d}"

    @property
    def clock(self) -> str:
        """The time of day in UTC at which the entry was appended."""
        return f"{time_of(self.entry_id):%H:%M:%S.%f}"[:-3]

    def as_text(self) -> str:
        """Return the line for a file or a pipe, as one line of text."""
        time = times_of(self.entry_id) if self.is_wide else f"{self.day} {self.clock}Z"
        cells = (time, str(self.entry_id), self.endpoint, self.name, self.source)
        padded = (f"{printable(c):{w}}" for c, w in zip(cells, _WIDTHS, strict=True))
        return "  ".join((*padded, printable(self.summary))).rstrip()

    def as_grid(self, *, narrow: bool) -> Table:
        """Return the line for a terminal, where the last column wraps."""
        name = as_text(self.name, "bold" if self.is_readable else "bold red")
        first = Text(self.clock if narrow else f"{self.day} {self.clock}Z", "dim")
        cells = [first, Text(str(self.entry_id)), as_text(self.endpoint)]
        source, summed_up = as_text(self.source, "dim"), as_text(self.summary)
        grid = Table.grid(padding=(0, 2, 0, 0))
        if narrow:
            parts = (part for part in (name, summed_up, source) if part)
            cells.append(Text("  ").join(parts))
            widths: tuple[int | None, ...] = (None, None, _WIDTHS[2])
        else:
            cells += (name, source, summed_up)
            widths = _WIDTHS
        for width in widths:
            grid.add_column(no_wrap=True, min_width=width)
        grid.add_column(overflow="fold")
        grid.add_row(*cells)
        return grid


def _given_twice(entry: Entry) -> str:
    """Return a warning if a field is given several times: not everybody takes the last value."""
    counted = Counter(name for name, _ in entry.written)
    names = sorted(text(name) for name, times in counted.items() if times > 1)
    return f" (given more than once, the last counts: {', '.join(names)})" if names else ""


def text_of(entry: Entry, field: bytes) -> str:
    """Return a field as text, with invalid UTF-8 escaped; an empty text if it is missing."""
    return entry.fields.get(field, b"").decode("utf-8", "backslashreplace")


class LinePrinter:
    """Prints entries as they come; on a narrow terminal each day has a line of its own."""

    def __init__(self, output: OutputForm) -> None:
        self._output = output
        self._narrow = is_narrow(output)
        self._day: str | None = None

    def __call__(self, line: Line) -> None:
        """Print one entry."""
        if not sys.stdout.isatty() or self._output.is_wide:
            click.echo(line.as_text())
            return
        if self._narrow and line.day != self._day:
            click.echo(f"{line.day} UTC")
            self._day = line.day
        print_rich(self._output, line.as_grid(narrow=self._narrow))
