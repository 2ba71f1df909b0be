"""Sorts, filters and fits rows under headings into a pane."""

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.text import Text

ROWS_SHOWN_MAX = 500
"""Rows that a pane shows; of further rows it shows only the number."""

PADDING = 2
"""Cells that the table adds to each column."""

_GIVING_WIDTH_MIN = 6


class Heading(msgspec.Struct, frozen=True):
    """A column.

    Attributes:
        name: The text of the heading.
        is_number: Its cells are aligned to the right.
        gives: Its cells may be cut if there is too little room.
        is_wide: Only a wide screen has the column.
    """

    name: str
    is_number: bool = False
    gives: bool = False
    is_wide: bool = False


class Row(msgspec.Struct, frozen=True):
    """A row: a stable key, its cells, and the values that it is sorted by."""

    key: str
    cells: tuple[Text, ...]
    order: tuple[Any, ...]


class SubjectTable(msgspec.Struct, frozen=True):
    """All rows of a subject, the most important first."""

    headings: tuple[Heading, ...]
    rows: Sequence[Row]


class ViewState(msgspec.Struct, frozen=True):
    """How a person wants to see a table.

    Attributes:
        sorted_by: The heading's name; None: the most important rows first.
        is_reversed: Whether the last row comes first.
        text: Text that a row must contain or, after a `!`, must not contain.
    """

    sorted_by: str | None = None
    is_reversed: bool = False
    text: str = ""


class FittedTable(msgspec.Struct, frozen=True):
    """A table as shown: headings with widths, rows, and how many rows were found and exist."""

    headings: list[tuple[Heading, int]]
    rows: list[Row]
    found: int
    total: int


def fitted(table: SubjectTable, view_state: ViewState, room: int, *, is_wide: bool) -> FittedTable:
    """Return the rows that *view_state* selects, fitted into *room* cells if possible."""
    rows = [row for row in table.rows if _is_wanted(row, view_state.text)]
    found = len(rows)
    by = next((p for p, h in enumerate(table.headings) if h.name == view_state.sorted_by), None)
    if by is not None:
        rows.sort(key=lambda row: row.order[by], reverse=view_state.is_reversed)
    elif view_state.is_reversed:
        rows.reverse()
    rows = rows[:ROWS_SHOWN_MAX]
    kept = [p for p, heading in enumerate(table.headings) if is_wide or not heading.is_wide]
    headings = [table.headings[place] for place in kept]
    widths = _widths(headings, [[row.cells[place] for row in rows] for place in kept], room)
    return FittedTable(
        headings=list(zip(headings, widths, strict=True)),
        rows=[_shown(row, kept, widths) for row in rows],
        found=found,
        total=len(table.rows),
    )


def _is_wanted(row: Row, text: str) -> bool:
    excluded = text.startswith("!")
    sought = text.removeprefix("!").strip().lower()
    if not sought:
        return True
    within = "  ".join(cell.plain for cell in (*row.cells, Text(row.key))).lower()
    return (sought in within) is not excluded


def _widths(headings: list[Heading], columns: list[list[Text]], room: int) -> list[int]:
    """Narrow the widest column that gives until all fit, or no column can be narrowed."""
    widths = [max((cell.cell_len for cell in cells), default=0) for cells in columns]
    widths = [max(w, len(h.name)) for w, h in zip(widths, headings, strict=True)]
    free = room - sum(width + PADDING for width in widths)
    giving = [place for place, heading in enumerate(headings) if heading.gives]
    while free < 0:
        able = [p for p in giving if widths[p] > max(_GIVING_WIDTH_MIN, len(headings[p].name))]
        if not able:
            break
        widths[max(able, key=widths.__getitem__)] -= 1
        free += 1
    if free > 0 and giving:
        widths[giving[-1]] += free
    return widths


def _shown(row: Row, places: list[int], widths: list[int]) -> Row:
    cells = (_cut(row.cells[p], width) for p, width in zip(places, widths, strict=True))
    return Row(row.key, tuple(cells), ())


def _cut(cell: Text, width: int) -> Text:
    if cell.cell_len <= width:
        return cell
    shorter = cell.copy()
    shorter.truncate(width, overflow="ellipsis")
    return shorter
