"""The stream table: what is printed of streams, for a person and for a program."""

from datetime import datetime
from typing import Any

import click
from rich.filesize import decimal

from consumers.cli.terminal.output import OutputForm, print_pairs, print_table
from consumers.cli.terminal.table import Column
from events.entry.age import age_of
from events.entry.entry_id import END, START, EntryId
from events.retention.retention import Cut
from events.streams.redis_stream import ReadingGroup, RedisStream

_COUNTED = ("LENGTH", "BYTES", "ADDED", "RATE/S", "GROUPS", "MAX LAG")
STREAM_COLUMNS = (
    Column("STREAM", folds=True),
    *(Column(name, is_number=True) for name in _COUNTED),
    *(Column(name, is_below=True) for name in ("FIRST", "LAST")),
    Column("AGE"),
)
_GROUP_COLUMNS = (
    Column("GROUP", folds=True),
    *(Column(name, is_number=True) for name in ("CONSUMERS", "PENDING", "LAG")),
    *(Column(name, is_below=True) for name in ("LAST DELIVERED", "OLDEST PENDING")),
)
_HOLDER_COLUMNS = (
    Column("HOLDER", folds=True),
    Column("STANDS AT"),
    Column("KEEPS FROM", is_below=True),
    Column("AGE"),
)


def stream_row(stream: RedisStream, now: datetime) -> tuple[object, ...]:
    """Return the cells of one stream under `STREAM_COLUMNS`."""
    behind = stream.max_lag
    return (
        stream.name,
        stream.length,
        _size(stream),
        stream.added,
        _rate(stream),
        len(stream.groups),
        None if behind is None else _lag(behind),
        stream.first,
        _last(stream),
        _age(_last(stream), now),
    )


STREAM_FIELDS = (
    *("stream", "partition", "length", "bytes", "added", "rate_per_s", "groups"),
    *("max_lag", "max_lag_min", "first", "last"),
)


def stream_as_json(partition: int | None, stream: RedisStream) -> dict[str, Any]:
    """Return the `STREAM_FIELDS` of a stream; *partition* is null where it is none of the log's."""
    behind = stream.max_lag
    return {
        "stream": stream.name,
        "partition": partition,
        "length": stream.length,
        "bytes": stream.size_bytes,
        "added": stream.added,
        "rate_per_s": round(stream.rate_per_s, 3),
        "groups": len(stream.groups),
        "max_lag": None if behind is None else behind.lag,
        "max_lag_min": None if behind is None else behind.lag_min,
        "first": _id(stream.first),
        "last": _id(_last(stream)),
    }


def print_stream(
    output: OutputForm, partition: int | None, cut: Cut[RedisStream], now: datetime
) -> None:
    """Print one stream with its groups and its holders, for a person."""
    stream = cut.stream
    print_pairs(
        output,
        [
            ("stream", stream.name),
            ("partition", partition),
            ("length", f"{stream.length} of {stream.added} ever added"),
            ("memory", None if stream.size_bytes is None else f"about {_size(stream)}"),
            ("rate", f"{_rate(stream)}/s"),
            *(
                (name, None if at is None else f"{at}, {_age(at, now)} ago")
                for name, at in (("first", stream.first), ("last", _last(stream)))
            ),
            ("safe to cut", _safe(cut, now)),
        ],
    )
    if stream.groups:
        click.echo()
        print_table(output, _GROUP_COLUMNS, (_group_row(one, now) for one in stream.groups))
    if cut.holders:
        click.echo()
        rows = (
            (one.name, one.stands_at, one.keeps_from, _age(one.keeps_from, now))
            for one in cut.holders
        )
        print_table(output, _HOLDER_COLUMNS, rows)
    click.echo()


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


def _group_row(reading: ReadingGroup, now: datetime) -> tuple[object, ...]:
    group = reading.group
    return (
        group.name,
        group.consumers,
        group.pending,
        _lag(reading),
        group.last_delivered,
        _age(reading.oldest_pending, now),
    )


def shown_as_json(
    partition: int | None, cut: Cut[RedisStream], warnings: list[str]
) -> dict[str, Any]:
    """Return one stream with its groups, its holders and its warnings as JSON."""
    return {
        **stream_as_json(partition, cut.stream),
        "groups": [
            {
                "group": one.group.name,
                "consumers": one.group.consumers,
                "pending": one.group.pending,
                "lag": one.lag,
                "lag_min": one.lag_min,
                "last_delivered": _id(one.group.last_delivered),
                "oldest_pending": _id(one.oldest_pending),
            }
            for one in cut.stream.groups
        ],
        "holders": [
            {
                "holder": one.name,
                "stands_at": _id(one.stands_at),
                "keeps_from": _id(one.keeps_from),
                "missing": one.is_missing,
            }
            for one in cut.holders
        ],
        "safe_before": _id(cut.at) if cut.holders else None,
        "floor": None if cut.floor == END else str(cut.floor),
        "held_by": [one.name for one in cut.held_by],
        "warnings": warnings,
    }


def warnings_of(cut: Cut[RedisStream]) -> list[str]:
    """Say what about a stream and its groups should not be so."""
    stream, found = cut.stream, []
    for one in stream.groups:
        group, oldest = one.group, one.oldest_pending
        if not group.consumers and one.lag != 0:
            least = "" if one.lag is not None else "at least "
            found.append(
                f"group {group.name} has no consumer and {least}{one.lag_min} entries to read"
            )
        if oldest is not None and (stream.first is None or oldest < stream.first):
            found.append(
                f"group {group.name} has entries pending that are not in the stream any more,"
                f" the oldest is {oldest}"
            )
    found += [
        f"{one.name} stands at {one.stands_at}, but the stream has no such group"
        for one in cut.holders
        if one.is_missing
    ]
    deleted = stream.deleted or START
    if deleted > START and (stream.first is None or deleted >= stream.first):
        found.append(f"entries were deleted from the middle, the newest of them {deleted}")
    return found


def _last(stream: RedisStream) -> EntryId | None:
    return stream.last if stream.last > START else None


def _id(entry_id: EntryId | None) -> str | None:
    return None if entry_id is None else str(entry_id)


def _age(entry_id: EntryId | None, now: datetime) -> str | None:
    return None if entry_id is None else age_of(entry_id, now)


def _lag(group: ReadingGroup) -> str:
    return str(group.lag) if group.lag is not None else f">={group.lag_min}"


def _rate(stream: RedisStream) -> str:
    rate = stream.rate_per_s
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _size(stream: RedisStream) -> str | None:
    if stream.size_bytes is None:
        return None
    return decimal(stream.size_bytes).replace(" bytes", " B")
