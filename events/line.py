"""The line: one entry as a person reads it while the log grows."""

import sys
from typing import Self

import click
import msgspec
from rich.table import Table
from rich.text import Text

from events.codec import decode
from events.entry_id import EntryId
from events.errors import EventsError
from events.position import time_of
from events.recorded import Entry
from events.summary import summary
from events.terminal import is_narrow, print_rich, printable, short_id

_WIDTHS = (23, 20, 8, 28, 12)
"""Of all columns but the last: time, entry id, endpoint, name, source."""

_UNKNOWN = "?"


class Line(msgspec.Struct, frozen=True):
    """What is told of one entry; where it cannot be read, *summary* says why."""

    entry_id: EntryId
    endpoint: str
    name: str
    source: str
    summary: str
    is_readable: bool = True

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Read the entry, as far as it can be read."""
        name, source = (
            printable(entry.fields.get(field, b"").decode("utf-8", "replace"))
            for field in (b"name", b"source")
        )
        try:
            event = decode(entry).event
        except EventsError as error:
            problem = printable(str(error))
            return cls(entry.entry_id, _UNKNOWN, name or _UNKNOWN, source, problem, False)  # noqa: FBT003
        endpoint = short_id(event.endpoint_id)
        return cls(entry.entry_id, endpoint, name, source, printable(summary(event)))

    @property
    def day(self) -> str:
        """The day in UTC on which the entry was appended."""
        return f"{time_of(self.entry_id):%Y-%m-%d}"

    @property
    def clock(self) -> str:
        """The time of day in UTC at which the entry was appended."""
        return f"{time_of(self.entry_id):%H:%M:%S.%f}"[:-3]

    def as_text(self) -> str:
        """Return it for a file or a pipe: all on one line."""
        cells = (f"{self.day} {self.clock}", str(self.entry_id), self.endpoint, self.name)
        padded = (f"{c:{w}}" for c, w in zip((*cells, self.source), _WIDTHS, strict=True))
        return "  ".join((*padded, self.summary)).rstrip()

    def as_grid(self, *, narrow: bool) -> Table:
        """Return it for a terminal: what has no room goes on below itself."""
        name = Text(self.name, "bold" if self.is_readable else "bold red")
        first = Text(self.clock if narrow else f"{self.day} {self.clock}", "dim")
        cells = [first, Text(str(self.entry_id)), Text(self.endpoint)]
        source = Text(self.source, "dim")
        grid = Table.grid(padding=(0, 2, 0, 0))
        if narrow:
            told = (part for part in (name, Text(self.summary), source) if part)
            cells.append(Text("  ").join(told))
            widths: tuple[int | None, ...] = (None, None, _WIDTHS[2])
        else:
            cells += (name, source, Text(self.summary))
            widths = _WIDTHS
        for width in widths:
            grid.add_column(no_wrap=True, min_width=width)
        grid.add_column(overflow="fold")
        grid.add_row(*cells)
        return grid


class LinePrinter:
    """Prints entries as they come, on a narrow terminal each day once before its first entry."""

    def __init__(self) -> None:
        self._narrow = is_narrow()
        self._day: str | None = None

    def __call__(self, entry: Entry) -> None:
        """Print one entry."""
        line = Line.of(entry)
        if not sys.stdout.isatty():
            click.echo(line.as_text())
            return
        if self._narrow and line.day != self._day:
            click.echo(f"{line.day} UTC")
            self._day = line.day
        print_rich(line.as_grid(narrow=self._narrow))
