"""Returns the detail of one row of a pane."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import msgspec
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from consumers.cli.terminal.entry_json import as_json, field_lines, fields_as_text
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.output import short_id
from consumers.cli.terminal.table import Column, Columns, as_text, table_of
from consumers.cli.top.deployment_state import DeadLine, DeploymentState, Subject
from consumers.cli.top.endpoint_detail import endpoint_detail, pairs_grid
from consumers.cli.top.subject_tables import entry_key
from events.entry.age import age_of, span
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry, entries_of
from events.history.history import History
from events.log.log import EventLog
from events.server.reply import reply_entries
from events.server.server import now_of
from events.streams.stream_group import read_consumers, read_pending

PENDING_MAX = 20
"""Oldest pending entries of a group that are shown."""

CONSUMERS_MAX = 50

Read = Callable[[int], Awaitable[RenderableType]]
"""Reads the detail for a width in cells."""


class _Consumer(msgspec.Struct, frozen=True):
    """One consumer of a group."""

    name: str
    pending: int
    idle_ms: int


class _Pending(msgspec.Struct, frozen=True):
    """One pending entry; *line* is None if it is gone from the log."""

    entry_id: EntryId
    consumer: str
    idle_ms: int
    deliveries: int
    line: Line | None


_CONSUMERS: Columns[_Consumer] = (
    Column("CONSUMER", lambda one: one.name, folds=True),
    Column("PENDING", lambda one: one.pending, is_number=True),
    Column("IDLE", lambda one: span(one.idle_ms / 1_000), is_number=True),
)


def _pending_columns(now: datetime) -> Columns[_Pending]:
    return (
        Column("ENTRY", lambda one: Text(str(one.entry_id), "bold")),
        Column("APPENDED", lambda one: age_of(one.entry_id, now)),
        Column("TYPE", lambda one: one.line.name if one.line else _GONE, is_below=True),
        Column("ENDPOINT", lambda one: one.line and one.line.endpoint, is_below=True),
        Column("CONSUMER", lambda one: one.consumer, folds=True),
        Column("IDLE", lambda one: span(one.idle_ms / 1_000), is_number=True),
        Column("DELIVERIES", lambda one: one.deliveries, is_number=True),
    )


_GONE = "deleted from the log"


class Detail(msgspec.Struct, frozen=True):
    """The title of a detail, and the function that reads its content."""

    title: str
    read: Read


def detail_of(history: History, seen: DeploymentState, subject: Subject, key: str) -> Detail | None:
    """Return the detail of the row *key* of *subject*, None if the row is gone."""
    match subject:
        case "endpoints":
            name = seen.name_of.get(key, "")
            return Detail(
                f"endpoint {short_id(key)} {name}",
                lambda room: endpoint_detail(history, UUID(key), room),
            )
        case "groups":
            group, _, partition = key.rpartition(":")
            return Detail(
                f"group {group}, partition {partition}",
                lambda room: _group(history.log, group, int(partition), room),
            )
        case "dead":
            found = [one for one in seen.dead if _dead_key(one) == key]
            return _still(f"dead letter of {found[0].group}", _dead(found[0])) if found else None
        case "log":
            entries = [one for one in seen.entries if entry_key(one) == key]
            return _still(f"entry {entries[0].entry_id}", _entry(entries[0])) if entries else None


def _still(title: str, shown: RenderableType) -> Detail:
    async def read(_room: int) -> RenderableType:
        return shown

    return Detail(title, read)


def _dead_key(line: DeadLine) -> str:
    return f"{line.group}:{line.letter.original.partition}:{line.letter.dead_id}"


def _dead(line: DeadLine) -> RenderableType:
    letter = line.letter
    fields = fields_as_text(letter.original.pairs)
    return pairs_grid(
        [
            ("dead id", letter.dead_id),
            ("entry", letter.original.entry_id),
            ("reason", letter.reason),
            ("error", letter.error),
            ("deliveries", letter.deliveries),
            ("consumer", letter.consumer),
            ("appended", f"{letter.first_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("given up on", f"{letter.last_at:%Y-%m-%d %H:%M:%S} UTC"),
            *field_lines(fields),
        ]
    )


def _entry(entry: Entry) -> RenderableType:
    values = as_json(entry)
    payload = values.pop("payload", None)
    fields = values.pop("fields", {})
    line = Line.of(entry)
    pairs: list[tuple[str, object | None]] = [("time", f"{line.day} {line.clock} UTC")]
    pairs += [(name.replace("_", " "), value or None) for name, value in values.items()]
    pairs += field_lines(fields)
    if payload is None:
        return pairs_grid(pairs)
    shown = msgspec.json.format(msgspec.json.encode(payload), indent=2).decode()
    return Lines(
        pairs_grid(pairs),
        Text("\npayload", "bold"),
        *map(as_text, shown.split("\n")),
    )


async def _group(log: EventLog, group: str, partition: int, room: int) -> RenderableType:
    """Read the consumers of the group, and its oldest pending entries."""
    stream, client = log.keys.events(partition), log.server.client
    now = await now_of(log.server)
    consumers = await read_consumers(client.call, stream, group)
    rows = [
        _Consumer(item.name, item.pending, item.idle_ms)
        for item in sorted(consumers, key=lambda item: -item.pending)[:CONSUMERS_MAX]
    ]
    waiting = []
    for item in await read_pending(client.call, stream, group, count=PENDING_MAX):
        entry_id = str(item.entry_id)
        raw = reply_entries(await client.call("XRANGE", stream, entry_id, entry_id))
        line = Line.of(entries_of(raw, partition)[0]) if raw else None
        waiting.append(_Pending(item.entry_id, item.consumer, item.idle_ms, item.deliveries, line))
    nobody = Text("none: start one with `routestream consume`", "red")
    return Lines(
        Text("consumers", "bold"),
        table_of(_CONSUMERS, rows, room) if rows else nobody,
        Text(f"\npending, the {PENDING_MAX} oldest", "bold"),
        table_of(_pending_columns(now), waiting, room) if waiting else Text("nothing", "dim"),
    )
