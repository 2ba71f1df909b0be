"""The command that counts entries."""

import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Literal

import click
import msgspec
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.events.entry_filter import endpoint_of
from consumers.cli.events.selection import Asked, Selection, open_selection, selection_options
from consumers.cli.terminal.entry_line import text_of
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import SpanCommand
from consumers.cli.terminal.output import (
    OutputForm,
    output_option,
    print_rows,
    room_of,
    shown_id,
    watch_option,
)
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from events.entry.entry_id import EntryId
from events.entry.position import parse_range, time_of
from events.entry.recorded import Entry
from events.history.tail import entries_from
from events.server.server import now_of

_EIGHTHS = " ▏▎▍▌▋▊▉"


_WHOLE = "█"


def bar(value: int, most: int, width: int) -> str:
    """Return a bar for *value*, *width* characters long for *most*; at least a part of one."""
    if value <= 0 or most <= 0:
        return ""
    if not _has_blocks():
        return "#" * max(1, round(width * value / most))
    whole, eighths = divmod(max(1, round(8 * width * value / most)), 8)
    return (_WHOLE * whole + _EIGHTHS[eighths]).rstrip()


def _has_blocks() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        (_EIGHTHS + _WHOLE).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


COUNTED_MAX = 10_000
"""The newest entries of each partition, which are counted if no range is given."""

ROWS_MAX = 10_000
"""Keys that are counted separately; all others are counted together."""

_REST = "(others)"
_MINUTES_FILLED_MAX = 180
_BAR_WIDTH_MIN, _BAR_WIDTH_MAX = 10, 60
_BESIDE_BAR = 24

Dimension = Literal["type", "endpoint", "minute", "source"]


class Counted(msgspec.Struct):
    """How many entries have one key, and the first and last of them."""

    key: str
    count: int = 0
    first: EntryId | None = None
    last: EntryId | None = None

    def add(self, entry_id: EntryId) -> None:
        """Count one more entry."""
        self.count += 1
        self.first = entry_id if self.first is None else min(self.first, entry_id)
        self.last = entry_id if self.last is None else max(self.last, entry_id)


def _minute(entry: Entry) -> str:
    return f"{time_of(entry.entry_id):%Y-%m-%dT%H:%M}Z"


_KEY_OF: dict[Dimension, Callable[[Entry], str]] = {
    "type": lambda entry: text_of(entry, b"name") or "(none)",
    "endpoint": lambda entry: endpoint_of(entry) or "(none)",
    "minute": _minute,
    "source": lambda entry: text_of(entry, b"source") or "(none)",
}


@click.command(cls=SpanCommand)
@click.argument("span", metavar="[A..B]", required=False)
@click.option(
    "--by",
    "dimension",
    type=click.Choice(list(_KEY_OF)),
    default="type",
    show_default=True,
    help="What is told apart.",
)
@selection_options
@output_option
@watch_option
@command_of
async def stats(
    deployment: Deployment,
    *,
    asked: Asked,
    span: str | None,
    dimension: Dimension,
    output: OutputForm,
) -> None:
    """Count the events by type, endpoint, minute or source.

    Without A..B the newest 10,000 entries of each partition are counted; with it all between these
    two positions.

    \b
    Example: routestream events stats --by minute -1h..
    Example: routestream events stats --by endpoint --type route_failed
    """
    async with open_selection(deployment, asked) as selection:
        now = await now_of(selection.log.server)
        counted = await _count(_entries(selection, span, now), selection, dimension)
    total = sum(one.count for one in counted)
    if dimension == "minute":
        counted = _filled(sorted(counted, key=lambda one: one.key))
    else:
        counted.sort(key=lambda one: (-one.count, one.key))
    rows = [_row(one, dimension, total) for one in counted]
    print_rows(output, CountRow, rows, _columns(output, rows, dimension), nothing="no events")


async def _entries(selection: Selection, span: str | None, now: datetime) -> AsyncGenerator[Entry]:
    log, partitions = selection.log, selection.partitions
    if span is not None:
        async for entry in entries_from(log, partitions, *parse_range(span, now)):
            yield entry
        return
    for partition in partitions:
        left = COUNTED_MAX
        async with aclosing(log.read_entries_back(partition, count=100)) as chunks:
            async for entries in chunks:
                for entry in entries[:left]:
                    yield entry
                left -= len(entries)
                if left <= 0:
                    say(f"the newest {COUNTED_MAX} entries; start.. counts all")
                    break


async def _count(
    entries: AsyncGenerator[Entry], selection: Selection, dimension: Dimension
) -> list[Counted]:
    counted: dict[str, Counted] = {}
    key_of, wants = _KEY_OF[dimension], selection.wanted.wants
    is_filtered = bool(selection.wanted)
    async for entry in entries:
        if is_filtered and not wants(entry):
            continue
        key = key_of(entry)
        of_key = counted.get(key)
        if of_key is None:
            key = key if len(counted) < ROWS_MAX else _REST
            of_key = counted.setdefault(key, Counted(key))
        of_key.add(entry.entry_id)
    return list(counted.values())


def _filled(counted: list[Counted]) -> list[Counted]:
    """Add the minutes without entries, if the range is not too long."""
    if not counted or any(one.first is None or one.key == _REST for one in counted):
        return counted
    minutes = [int(time_of(one.first).timestamp()) // 60 for one in counted if one.first]
    if minutes[-1] - minutes[0] >= _MINUTES_FILLED_MAX:
        return counted
    found = dict(zip(minutes, counted, strict=True))
    return [
        found.get(m) or Counted(f"{datetime.fromtimestamp(m * 60, UTC):%Y-%m-%dT%H:%M}Z")
        for m in range(minutes[0], minutes[-1] + 1)
    ]


class CountRow(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries have one key, and the first and last of them."""

    by: Dimension
    key: str
    count: int
    share: float
    first: EntryId | None
    last: EntryId | None
    shown_share: ForTable[str]


def _row(counted: Counted, dimension: Dimension, total: int) -> CountRow:
    share = counted.count / total if total else 0.0
    return CountRow(
        by=dimension,
        key=counted.key,
        count=counted.count,
        share=round(share, 6),
        first=counted.first,
        last=counted.last,
        shown_share=f"{share:.1%}" if total else "",
    )


def _columns(
    output: OutputForm, rows: Sequence[CountRow], dimension: Dimension
) -> Columns[CountRow]:
    most = max((row.count for row in rows), default=0)
    whole = output.is_wide or dimension != "endpoint"
    room = room_of(output) or _BAR_WIDTH_MAX + _BESIDE_BAR
    longest = max((len(shown_id(row.key, wide=whole)) for row in rows), default=0)
    width = min(_BAR_WIDTH_MAX, max(_BAR_WIDTH_MIN, room - longest - _BESIDE_BAR))
    return (
        Column(dimension.upper(), lambda row: shown_id(row.key, wide=whole), folds=True),
        Column("COUNT", lambda row: row.count, is_number=True),
        Column("SHARE", lambda row: row.shown_share, is_number=True),
        Column("FIRST", lambda row: row.first, is_wide=True),
        Column("LAST", lambda row: row.last, is_wide=True),
        Column("", lambda row: Text(bar(row.count, most, width), "green")),
    )
