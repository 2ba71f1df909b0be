"""Draws rows under columns, fitted into the width of a terminal."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from consumers.cli.terminal.messages import printable
from events.entry.entry_id import EntryId
from events.entry.position import time_of

Row = TypeVar("Row")
Row_contra = TypeVar("Row_contra", contravariant=True)

_BETWEEN = 2
_FOLDED_WIDTH_MIN = 8
_INDENT = 4


class Column(msgspec.Struct, Generic[Row_contra], frozen=True):
    """A column: what it shows of a row, and how it yields if there is too little room.

    Attributes:
        name: The heading.
        cell: Returns the value that a row has in this column; see `as_text`.
        is_number: Its cells are aligned to the right.
        folds: Its cells may wrap.
        is_below: Its cells may move below their row, each with the column's name.
        is_wide: Only a wide table has the column.
    """

    name: str
    cell: Callable[[Row_contra], object]
    is_number: bool = False
    folds: bool = False
    is_below: bool = False
    is_wide: bool = False


Columns = tuple[Column[Row], ...]


def table_of(
    columns: Iterable[Column[Row]], rows: Iterable[Row], room: int | None, *, wide: bool = False
) -> RenderableType:
    """Return *rows* under *columns*, in at most *room* cells if possible; None: any width.

    A *wide* table also has the columns with `is_wide`, and the times of entry ids.
    """
    return TablePages(columns, room, wide=wide).page(rows)


class TablePages(Generic[Row]):
    """Draws rows page after page, as `table_of` draws all of them at once.

    The header stands above the first page. A column is as wide as what was drawn so far needs.
    """

    def __init__(
        self, columns: Iterable[Column[Row]], room: int | None, *, wide: bool = False
    ) -> None:
        self._columns = [column for column in columns if wide or not column.is_wide]
        self._room = room
        self._wide = wide
        self._widths = [0 for _ in self._columns]
        self._is_first = True

    def page(self, rows: Iterable[Row]) -> RenderableType:
        """Return the next rows."""
        header = [[Text(column.name, "bold") for column in self._columns]] if self._is_first else []
        self._is_first = False
        lines = [
            [as_text(column.cell(row), wide=self._wide) for column in self._columns] for row in rows
        ]
        for line in (*header, *lines):
            self._widths = [
                max(width, cell.cell_len) for width, cell in zip(self._widths, line, strict=True)
            ]
        return _fitted_lines(self._columns, self._widths, (header, lines), self._room)


def as_text(cell: object, style: str = "", *, wide: bool = False) -> Text:
    """Return *cell* as text: None as an empty one, control characters escaped.

    *wide*: an entry id is followed by its times.
    """
    if isinstance(cell, Text):
        return cell
    if isinstance(cell, EntryId) and wide:
        return Text(f"{cell} ({times_of(cell)})", style)
    return Text("" if cell is None else printable(str(cell)), style)


def times_of(entry_id: EntryId) -> str:
    """Return when the entry was appended: in UTC, and in local time if that differs."""
    time = time_of(entry_id)
    utc = f"{time:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"
    try:
        here = time.astimezone()
    except (OverflowError, ValueError):
        return utc  # local time cannot represent it
    if not here.utcoffset():
        return utc
    day = "" if here.date() == time.date() else f"{here:%Y-%m-%d} "
    return f"{utc}, {day}{here:%H:%M:%S.%f}"[:-3] + f"{here: %z}"


def _fitted_lines(
    columns: Sequence[Column[Any]],
    widths: Sequence[int],
    header_and_lines: tuple[Sequence[Sequence[Text]], Sequence[Sequence[Text]]],
    room: int | None,
) -> RenderableType:
    header, lines = header_and_lines
    if room is None or _total(widths) <= room:
        return _Lines(columns, widths, [*header, *lines])
    beside = [place for place, column in enumerate(columns) if not column.is_below]
    below = [place for place, column in enumerate(columns) if column.is_below]
    kept = [columns[place] for place in beside]
    fitted = _fitted(kept, [widths[place] for place in beside], room)
    parts = [_row(kept, fitted, [line[place] for place in beside], room) for line in header]
    for line in lines:
        parts.append(_row(kept, fitted, [line[place] for place in beside], room))
        moved = [_named(columns[place], line[place]) for place in below if line[place]]
        if moved:
            parts.append(Padding(Text("  ").join(moved), (0, 0, 0, _INDENT)))
    return Group(*parts)


class _Lines:
    """Rows whose cells all fit, one a line; rich's own table takes ten times as long."""

    def __init__(
        self, columns: Sequence[Column[Any]], widths: Sequence[int], rows: Sequence[Sequence[Text]]
    ) -> None:
        self._columns = columns
        self._widths = widths
        self._rows = rows

    def __rich_console__(self, console: Console, _: ConsoleOptions) -> RenderResult:
        places = list(
            zip((column.is_number for column in self._columns), self._widths, strict=True)
        )
        for row in self._rows:
            plain, gap = "", 0
            for (is_number, width), cell in zip(places, row, strict=True):
                room = width - cell.cell_len
                plain += " " * (gap + room if is_number else gap)
                if cell.spans or cell.style:
                    yield Segment(plain)
                    style = console.get_style(cell.style) if cell.style else None
                    yield from Segment.apply_style(cell.render(console), style)
                    plain = ""
                else:
                    plain += cell.plain
                gap = _BETWEEN if is_number else _BETWEEN + room
            yield Segment(plain)
            yield Segment.line()


def _row(
    columns: Sequence[Column[Any]], widths: Sequence[int], row: Sequence[Text], room: int
) -> RenderableType:
    has_room = all(cell.cell_len <= width for cell, width in zip(row, widths, strict=True))
    if has_room and _total(widths) <= room:
        return _Lines(columns, widths, [row])
    grid = Table.grid(padding=(0, _BETWEEN, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        grid.add_column(
            justify="right" if column.is_number else "left",
            width=width,
            no_wrap=not column.folds,
            overflow="fold",
        )
    grid.add_row(*row)
    return grid


def _fitted(columns: Sequence[Column[Any]], widths: Sequence[int], room: int) -> list[int]:
    """Narrow the widest column that folds until all fit, or no column can be narrowed."""
    fitted = list(widths)
    while _total(fitted) > room:
        able = [
            place
            for place, column in enumerate(columns)
            if column.folds and fitted[place] > _FOLDED_WIDTH_MIN
        ]
        if not able:
            break
        fitted[max(able, key=fitted.__getitem__)] -= 1
    return fitted


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _BETWEEN * (len(widths) - 1)


def _named(column: Column[Any], cell: Text) -> Text:
    return Text.assemble((f"{column.name.lower()} ", "dim"), cell)
