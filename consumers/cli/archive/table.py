"""Prints the parts of the archive, as a table or as values."""

from collections.abc import Callable, Sequence
from datetime import UTC

import msgspec
from rich.filesize import decimal

from consumers.cli.terminal.output import print_rows
from consumers.cli.terminal.output_form import Kind, OutputForm
from consumers.cli.terminal.table import Column, Columns
from events.archive.check import Listed
from events.archive.manifest import Gap, Part
from events.archive.segment import Segment
from events.entry.entry_id import EntryId
from events.entry.position import time_of


class SegmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of the archive; *problem* says what is wrong with it, null if nothing is."""

    partition: int
    kind: str = "segment"
    file: str
    first: str
    last: str
    count: int
    raw_bytes: int
    stored_bytes: int
    sha256: str
    chain: str
    first_at: str
    last_at: str
    ratio: float
    problem: str | None


class GapRow(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that were lost before they were archived."""

    partition: int
    kind: str = "gap"
    after: str
    until: str
    count: int
    chain: str
    problem: str | None


PartRow = SegmentRow | GapRow
PART_KINDS: Kind[PartRow] = (SegmentRow, GapRow)


def _of_segment(cell: Callable[[SegmentRow], object]) -> Callable[[PartRow], object]:
    return lambda row: None if isinstance(row, GapRow) else cell(row)


def _state(row: PartRow) -> str:
    if isinstance(row, GapRow):
        return "gap, lost"
    return "ok" if row.problem is None else "damaged"


_COLUMNS: Columns[PartRow] = (
    Column("PARTITION", lambda row: row.partition, is_number=True),
    Column("FIRST", lambda row: f"after {row.after}" if isinstance(row, GapRow) else row.first),
    Column("LAST", lambda row: f"before {row.until}" if isinstance(row, GapRow) else row.last),
    Column("FROM", _of_segment(lambda row: _time(row.first)), is_below=True),
    Column("UNTIL", _of_segment(lambda row: _time(row.last)), is_below=True),
    Column("ENTRIES", lambda row: row.count, is_number=True),
    Column("SIZE", _of_segment(lambda row: _size(row.raw_bytes)), is_number=True),
    Column("STORED", _of_segment(lambda row: _size(row.stored_bytes)), is_number=True),
    Column(
        "RATIO",
        _of_segment(lambda row: f"{_ratio(row.raw_bytes, row.stored_bytes):.1f}"),
        is_number=True,
    ),
    Column("STATE", _state, folds=True),
)


def print_listed(output: OutputForm, listed: Sequence[Listed], nothing: str) -> None:
    """Print parts of the archive; where there are none, print the note *nothing* for a table."""
    rows = [part_row(one.partition, one.part, one.problem) for one in listed]
    print_rows(output, PART_KINDS, rows, _COLUMNS, nothing=nothing)


def part_row(partition: int, part: Part, problem: str | None = None) -> PartRow:
    """Return the row of a part of the archive."""
    facts = msgspec.structs.asdict(part)
    if isinstance(part, Gap):
        return GapRow(partition=partition, **facts, problem=problem)
    return SegmentRow(
        partition=partition,
        **facts,
        first_at=time_of(part.first_id).isoformat(),
        last_at=time_of(part.last_id).isoformat(),
        ratio=round(_ratio(part.raw_bytes, part.stored_bytes), 2),
        problem=problem,
    )


def segment_in_words(segment: Segment) -> str:
    """Return a sentence that says what was archived."""
    size = f"{_size(segment.raw_bytes)} in {_size(segment.stored_bytes)}"
    return f"archived {segment.first} to {segment.last}: {segment.count} entries, {size}"


def _size(size: int) -> str:
    return decimal(size).replace(" bytes", " B")


def _ratio(raw_bytes: int, stored_bytes: int) -> float:
    return raw_bytes / max(1, stored_bytes)


def _time(entry_id: str) -> str:
    moment = time_of(EntryId.parse(entry_id)).astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
