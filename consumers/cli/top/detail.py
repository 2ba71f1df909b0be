"""The detail: what is shown of one row of a pane."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from consumers.cli.terminal.entry_json import as_json, fields_as_text
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.output import as_text, short_id
from consumers.cli.terminal.table import Column, table_of
from consumers.cli.top.endpoint_detail import endpoint_detail, pairs_grid
from consumers.cli.top.picture import DeadLine, Picture, Subject
from consumers.cli.top.sheets import key_of
from events.entry.age import age_of, span
from events.entry.recorded import Entry, entries_of
from events.history.history import History
from events.log.log import EventLog
from events.server.reply import reply_entries
from events.server.server import now_of
from events.streams.stream_group import read_consumers, read_pending

PENDING_MAX = 20
"""Pending entries that are shown of a group: the oldest."""

CONSUMERS_MAX = 50

Read = Callable[[int], Awaitable[RenderableType]]
"""Reads the detail for so many cells of room."""

_CONSUMERS = (
    Column("CONSUMER", folds=True),
    Column("PENDING", is_number=True),
    Column("IDLE", is_number=True),
)
_PENDING = (
    Column("ENTRY"),
    Column("APPENDED"),
    Column("TYPE", is_below=True),
    Column("ENDPOINT", is_below=True),
    Column("CONSUMER", folds=True),
    Column("IDLE", is_number=True),
    Column("DELIVERIES", is_number=True),
)


class Detail(msgspec.Struct, frozen=True):
    """A title, and what reads the rest."""

    title: str
    read: Read


def detail_of(history: History, picture: Picture, subject: Subject, key: str) -> Detail | None:
    """Return the detail of the row *key* of *subject*, None where it is gone."""
    match subject:
        case "endpoints":
            name = picture.name_of.get(key, "")
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
            found = [one for one in picture.dead if _dead_key(one) == key]
            return _still(f"dead letter of {found[0].group}", _dead(found[0])) if found else None
        case "log":
            entries = [one for one in picture.entries if key_of(one) == key]
            return _still(f"entry {entries[0].entry_id}", _entry(entries[0])) if entries else None


def _still(title: str, shown: RenderableType) -> Detail:
    async def read(_room: int) -> RenderableType:
        return shown

    return Detail(title, read)


def _dead_key(line: DeadLine) -> str:
    return f"{line.group}:{line.letter.original.partition}:{line.letter.dead_id}"


def _dead(line: DeadLine) -> RenderableType:
    letter = line.letter
    fields = fields_as_text(letter.original.fields).items()
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
            *((f"field {name}", value) for name, value in fields),
        ]
    )


def _entry(entry: Entry) -> RenderableType:
    told = as_json(entry)
    payload = told.pop("payload", None)
    fields = told.pop("fields", {})
    line = Line.of(entry)
    pairs: list[tuple[str, object | None]] = [("time", f"{line.day} {line.clock} UTC")]
    pairs += [(name.replace("_", " "), value or None) for name, value in told.items()]
    pairs += [(f"field {name}", value) for name, value in fields.items()]
    if payload is None:
        return pairs_grid(pairs)
    shown = msgspec.json.format(msgspec.json.encode(payload), indent=2).decode()
    return Lines(
        pairs_grid(pairs),
        Text("\npayload", "bold"),
        *map(as_text, shown.split("\n")),
    )


async def _group(log: EventLog, group: str, partition: int, room: int) -> RenderableType:
    """Read who consumes for the group, and what is pending with whom."""
    stream, client = log.keys.events(partition), log.server.client
    now = await now_of(log.server)
    consumers = await read_consumers(client.call, stream, group)
    about = [
        [as_text(one.name), Text(str(one.pending)), Text(span(one.idle_ms / 1_000))]
        for one in sorted(consumers, key=lambda one: -one.pending)[:CONSUMERS_MAX]
    ]
    waiting = []
    for one in await read_pending(client.call, stream, group, count=PENDING_MAX):
        entry_id = str(one.entry_id)
        raw = reply_entries(await client.call("XRANGE", stream, entry_id, entry_id))
        line = Line.of(entries_of(raw, partition)[0]) if raw else None
        waiting.append(
            [
                Text(entry_id, "bold"),
                as_text(age_of(one.entry_id, now)),
                as_text(line.name if line is not None else "deleted from the log"),
                as_text(line.endpoint if line is not None else None),
                as_text(one.consumer),
                Text(span(one.idle_ms / 1_000)),
                Text(str(one.deliveries)),
            ]
        )
    nobody = Text("none: start one with `routestream consume`", "red")
    return Lines(
        Text("consumers", "bold"),
        table_of(_CONSUMERS, about, room) if about else nobody,
        Text(f"\npending, the {PENDING_MAX} oldest", "bold"),
        table_of(_PENDING, waiting, room) if waiting else Text("nothing", "dim"),
    )
