"""The listing: parts of the archive, as a table or as values."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from rich.filesize import decimal

from consumers.cli.terminal.form import OutputForm
from consumers.cli.terminal.output import print_rows
from consumers.cli.terminal.table import Column
from events.archive.check import Listed
from events.archive.manifest import Gap, Part
from events.archive.segment import Segment
from events.entry.entry_id import EntryId
from events.entry.position import time_of

_COLUMNS = (
    Column("PARTITION", is_number=True),
    Column("FIRST"),
    Column("LAST"),
    Column("FROM", is_below=True),
    Column("UNTIL", is_below=True),
    *(Column(name, is_number=True) for name in ("ENTRIES", "SIZE", "STORED", "RATIO")),
    Column("STATE", folds=True),
)


def print_listed(output: OutputForm, listed: Sequence[Listed], nothing: str) -> None:
    """Print parts of the archive; where there are none, a table is the note *nothing*."""
    rows = (_row(one) for one in listed)
    values = (as_value(one.partition, one.part, one.problem) for one in listed)
    print_rows(output, _COLUMNS, rows, values, fields=LISTED_FIELDS, nothing=nothing)


def _row(listed: Listed) -> tuple[object, ...]:
    part = listed.part
    if isinstance(part, Gap):
        ids = (f"after {part.after}", f"before {part.until}")
        return (listed.partition, *ids, None, None, part.count, *[None] * 3, "gap, lost")
    sizes = (_size(part.raw_bytes), _size(part.stored_bytes), f"{_ratio(part):.1f}")
    times = (_time(part.first_id), _time(part.last_id))
    state = "ok" if listed.problem is None else "damaged"
    return (listed.partition, part.first, part.last, *times, part.count, *sizes, state)


LISTED_FIELDS = (
    *("partition", "kind", *Segment.__struct_fields__),
    *("first_at", "last_at", "ratio", "problem"),
    *(name for name in Gap.__struct_fields__ if name not in Segment.__struct_fields__),
)


def as_value(partition: int, part: Part, problem: str | None = None) -> dict[str, object]:
    """Return a part of the archive as JSON; `LISTED_FIELDS` are those of a segment and of a gap."""
    told: dict[str, object] = {"partition": partition, **msgspec.to_builtins(part)}
    if isinstance(part, Segment):
        told |= {
            "first_at": time_of(part.first_id).isoformat(),
            "last_at": time_of(part.last_id).isoformat(),
            "ratio": round(_ratio(part), 2),
        }
    return {**told, "problem": problem}


def told_of(segment: Segment) -> str:
    """Return what was archived in a sentence."""
    size = f"{_size(segment.raw_bytes)} in {_size(segment.stored_bytes)}"
    return f"archived {segment.first} to {segment.last}: {segment.count} entries, {size}"


def _size(size: int) -> str:
    return decimal(size).replace(" bytes", " B")


def _ratio(segment: Segment) -> float:
    return segment.raw_bytes / max(1, segment.stored_bytes)


def _time(entry_id: EntryId) -> str:
    moment: datetime = time_of(entry_id).astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}"
