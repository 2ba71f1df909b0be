"""Rows and tables of streams, for a person and for a program."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import click
import msgspec
from rich.filesize import decimal

from consumers.cli.terminal.output import OutputForm, print_pairs, print_table, printable
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from consumers.retention.holder_advice import remedy_of
from events.entry.age import age_of
from events.entry.entry_id import END, START, EntryId
from events.retention.retention import Cut
from events.streams.group_activity import UNREAD
from events.streams.redis_stream import RedisStream

Groups = TypeVar("Groups")


class StreamRow(msgspec.Struct, Generic[Groups], frozen=True, kw_only=True):
    """One stream with its groups, or their number; *partition* is null for a foreign stream.

    *node* is the server that has it, null where there is one server alone.
    """

    stream: str
    partition: int | None
    node: str | None
    length: int
    bytes: int | None
    added: int
    rate_per_s: float
    groups: Groups
    max_lag: int | None
    max_lag_min: int | None
    first: EntryId | None
    last: EntryId | None
    exact_rate: ForTable[float]


class StreamGroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One group of a stream."""

    group: str
    consumers: int
    pending: int
    lag: int | None
    lag_min: int
    last_delivered: EntryId
    oldest_pending: EntryId | None


class HolderRow(msgspec.Struct, frozen=True):
    """A holder of a stream, and the first entry that it needs."""

    holder: str
    stands_at: EntryId | None
    keeps_from: EntryId
    missing: bool


class StreamDetailsRow(StreamRow[list[StreamGroupRow]], frozen=True, kw_only=True):
    """One stream with its groups, its holders and its warnings."""

    holders: list[HolderRow]
    safe_before: EntryId | None
    floor: EntryId | None
    held_by: list[str]
    warnings: list[str]


def stream_columns(now: datetime, *, is_cluster: bool) -> Columns[StreamRow[int]]:
    """Return the columns of `streams ls`, with the node in a cluster."""
    node = (Column[StreamRow[int]]("NODE", lambda row: row.node),) if is_cluster else ()
    return (
        Column("STREAM", lambda row: row.stream, folds=True),
        *node,
        Column("LENGTH", lambda row: row.length, is_number=True),
        Column("BYTES", lambda row: _size(row.bytes), is_number=True),
        Column("ADDED", lambda row: row.added, is_number=True),
        Column("RATE/S", lambda row: _rate(row.exact_rate), is_number=True),
        Column("GROUPS", lambda row: row.groups, is_number=True),
        Column("MAX LAG", lambda row: _lag(row.max_lag, row.max_lag_min), is_number=True),
        Column("FIRST", lambda row: row.first, is_below=True),
        Column("LAST", lambda row: row.last, is_below=True),
        Column("AGE", lambda row: _age(row.last, now)),
    )


def _group_columns(now: datetime) -> Columns[StreamGroupRow]:
    return (
        Column("GROUP", lambda row: row.group, folds=True),
        Column("CONSUMERS", lambda row: row.consumers, is_number=True),
        Column("PENDING", lambda row: row.pending, is_number=True),
        Column("LAG", lambda row: _lag(row.lag, row.lag_min), is_number=True),
        Column("LAST DELIVERED", lambda row: row.last_delivered, is_below=True),
        Column("OLDEST PENDING", lambda row: _age(row.oldest_pending, now), is_below=True),
    )


def _holder_columns(now: datetime) -> Columns[HolderRow]:
    return (
        Column("HOLDER", lambda row: row.holder, folds=True),
        Column("STANDS AT", lambda row: row.stands_at),
        Column("KEEPS FROM", lambda row: row.keeps_from, is_below=True),
        Column("AGE", lambda row: _age(row.keeps_from, now)),
    )


def stream_row(partition: int | None, stream: RedisStream) -> StreamRow[int]:
    """Return the row of one stream in a list."""
    return StreamRow(**_facts(partition, stream), groups=len(stream.groups))


def stream_details(
    partition: int | None, cut: Cut[RedisStream], warnings: list[str]
) -> StreamDetailsRow:
    """Return one stream with its groups, its holders and its warnings."""
    return StreamDetailsRow(
        **_facts(partition, cut.stream),
        groups=[
            StreamGroupRow(
                group=one.group.name,
                consumers=one.consumers,
                pending=one.group.pending,
                lag=one.lag,
                lag_min=one.lag_min,
                last_delivered=one.group.last_delivered,
                oldest_pending=one.oldest_pending,
            )
            for one in cut.stream.groups
        ],
        holders=[
            HolderRow(one.name, one.stands_at, one.keeps_from, one.is_missing)
            for one in cut.holders
        ],
        safe_before=cut.at if cut.holders else None,
        floor=None if cut.floor == END else cut.floor,
        held_by=[one.name for one in cut.held_by],
        warnings=warnings,
    )


def _facts(partition: int | None, stream: RedisStream) -> dict[str, Any]:
    slowest = stream.max_lag
    return {
        "stream": stream.name,
        "partition": partition,
        "node": stream.node,
        "length": stream.length,
        "bytes": stream.size_bytes,
        "added": stream.added,
        "rate_per_s": round(stream.rate_per_s, 3),
        "max_lag": None if slowest is None else slowest.lag,
        "max_lag_min": None if slowest is None else slowest.lag_min,
        "first": stream.first,
        "last": stream.last if stream.last > START else None,
        "exact_rate": stream.rate_per_s,
    }


def print_stream(
    output: OutputForm, row: StreamDetailsRow, cut: Cut[RedisStream], now: datetime
) -> None:
    """Print one stream with its groups and its holders, for a person."""
    print_pairs(
        output,
        [
            ("stream", row.stream),
            ("partition", row.partition),
            *((("node", row.node),) if row.node is not None else ()),
            ("length", f"{row.length} of {row.added} ever added"),
            ("memory", None if row.bytes is None else f"about {_size(row.bytes)}"),
            ("rate", f"{_rate(row.exact_rate)}/s"),
            *(
                (name, None if at is None else f"{at}, {_age(at, now)} ago")
                for name, at in (("first", row.first), ("last", row.last))
            ),
            ("safe to cut", _safe(cut, now)),
        ],
    )
    if row.groups:
        click.echo()
        print_table(output, _group_columns(now), row.groups)
    if row.holders:
        click.echo()
        print_table(output, _holder_columns(now), row.holders)
    click.echo()
    for warning in row.warnings:
        click.echo(f"warning: {printable(warning)}")


def _safe(cut: Cut[RedisStream], now: datetime) -> str:
    at = cut.at
    if not cut.holders:
        return "nobody reads it: nothing says what may go"
    if not cut.held_by:
        why = "everything was read" if at == cut.stream.last else "what is younger is kept"
        return f"all before {at}: {why}"
    by = ", ".join(one.name for one in cut.held_by)
    if at <= START or (cut.stream.first is not None and at <= cut.stream.first):
        return f"nothing; held by {by}"
    return f"all before {at}, {_age(at, now)} old; held by {by}"


def warnings_of(cut: Cut[RedisStream]) -> list[str]:
    """Return what is wrong with a stream and its groups."""
    stream, warnings = cut.stream, []
    for one in stream.groups:
        group, oldest = one.group, one.oldest_pending
        if one.activity in UNREAD and one.lag != 0:
            has = "has no consumer" if one.activity == "stopped" else "has silent consumers only"
            least = "" if one.lag is not None else "at least "
            warnings.append(f"group {group.name} {has} and {least}{one.lag_min} entries to read")
        if oldest is not None and (stream.first is None or oldest < stream.first):
            warnings.append(
                f"group {group.name} has entries pending that are not in the stream any more,"
                f" the oldest is {oldest}"
            )
    warnings += [
        f"{one.name} stands at {one.stands_at}, but the stream has no such group"
        for one in cut.holders
        if one.is_missing and one.kind == "group"
    ]
    warnings += [
        f"{one.name} does not let the log be trimmed further: {remedy_of(one)}"
        for one in cut.holding
        if one.unread is not None and not one.unread.is_waiting
    ]
    deleted = stream.deleted or START
    if deleted > START and (stream.first is None or deleted >= stream.first):
        warnings.append(f"entries were deleted from the middle, the newest of them {deleted}")
    return warnings


def _age(entry_id: EntryId | None, now: datetime) -> str | None:
    return None if entry_id is None else age_of(entry_id, now)


def _lag(lag: int | None, lag_min: int | None) -> str | None:
    if lag is not None:
        return str(lag)
    return None if lag_min is None else f">={lag_min}"


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _size(size_bytes: int | None) -> str | None:
    return None if size_bytes is None else decimal(size_bytes).replace(" bytes", " B")
