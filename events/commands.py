"""The commands that read the log."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

import click
import msgspec
from rich.filesize import decimal

from events.age import age_of, now_of
from events.entry_filter import EntryFilter
from events.entry_id import END, START, EntryId
from events.line import Line, LinePrinter
from events.log import EventLog, entries_of
from events.position import parse_position
from events.printed import BINARY, as_json
from events.recorded import Entry
from events.streams import StreamState, read_stream
from events.table import Column
from events.tail import SEARCHED_MAX, entries_from, read_tail
from events.terminal import (
    Deployment,
    NotFoundError,
    OutputForm,
    command_of,
    output_option,
    print_pairs,
    print_rows,
    print_value,
    printable,
    watch_option,
    watched,
)

TAIL_COUNT = 10


class Extent(msgspec.Struct, frozen=True):
    """How much of the log is shown: the newest *count*, or *count* (None for all) from *start*."""

    count: int | None
    start: EntryId | None
    follow: bool


@click.group()
def events() -> None:
    """Look at the events of the log."""


@events.command()
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=0),
    help=f"How many of the newest entries ({TAIL_COUNT} unless given); with --from the first ones.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option(
    "--type",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only events of this type; a pattern such as 'route_*' too; may be given several times.",
)
@click.option("--endpoint", metavar="ID", help="Only events of this endpoint; a beginning will do.")
@click.option(
    "--from",
    "position",
    metavar="POSITION",
    help="Begin here: start, end, an entry id, an RFC 3339 time, or a span such as -2h.",
)
@output_option
@command_of
async def tail(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    count: int | None,
    follow: bool,
    names: tuple[str, ...],
    endpoint: str | None,
    position: str | None,
    output: OutputForm,
) -> None:
    """Show the newest events, and with -f those to come.

    \b
    Example: routestream events tail -f --type 'route_*' --endpoint 7ccd26ec
    """
    if follow and output == "json":
        raise click.UsageError("-o json prints one list, which has no end with -f; use -o jsonl")
    entry_filter = EntryFilter.parse(names, endpoint)
    async with deployment.open_log() as log:
        start = None if position is None else parse_position(position, await now_of(log.server))
        extent = Extent(TAIL_COUNT if count is None and start is None else count, start, follow)
        async with aclosing(_entries(log, entry_filter, extent)) as entries:
            await _print_entries(output, entries, extent)


async def _entries(
    log: EventLog, entry_filter: EntryFilter, extent: Extent
) -> AsyncGenerator[Entry]:
    """Yield what is there, oldest first, then what comes."""
    partitions = entry_filter.partitions(log.partitions)
    wanted = entry_filter.wants
    if extent.start is None:
        newest = await read_tail(
            log, partitions, extent.count or 0, wanted if entry_filter else None
        )
        if newest.unsearched is not None:
            click.echo(
                f"looked through {SEARCHED_MAX} entries, back to {newest.unsearched};"
                " --from looks further back",
                err=True,
            )
        for entry in newest.entries:
            yield entry
        cursors = newest.cursors
    else:
        cursors = {p: await _before(log, p, extent.start) for p in partitions}
        async for entry in entries_from(log, partitions, extent.start):
            cursors[entry.partition] = entry.entry_id
            if wanted(entry):
                yield entry
    if extent.follow:
        async for entry in log.follow_entries(cursors):
            if wanted(entry):
                yield entry


async def _before(log: EventLog, partition: int, start: EntryId) -> EntryId:
    """Return a cursor after which *start* comes; the present end for `END`."""
    if start == END:
        return await log.head(partition)
    if start.seq:
        return EntryId(start.ms, start.seq - 1)
    return EntryId(start.ms - 1, END.seq) if start.ms else START


async def _print_entries(
    output: OutputForm, entries: AsyncGenerator[Entry], extent: Extent
) -> None:
    limit = None if extent.start is None else extent.count
    kept, printed = [], 0
    print_line = LinePrinter()
    while limit is None or printed < limit:
        entry = await anext(entries, None)
        if entry is None:
            break
        printed += 1
        match output:
            case "table":
                print_line(entry)
            case "jsonl":
                print_value(output, as_json(entry))
            case "json":
                kept.append(as_json(entry))
    if output == "json":
        print_rows(output, (), (), kept)
    elif output == "table" and not printed:
        click.echo("no events", err=True)


@events.command()
@click.argument("entry_id")
@click.option("--partition", type=click.IntRange(min=0), help="Where the id lies on several.")
@output_option
@command_of
async def show(
    deployment: Deployment, *, entry_id: str, partition: int | None, output: OutputForm
) -> None:
    """Show one entry of the log with all that it holds, decoded as far as it can be.

    \b
    Example: routestream events show 1769896800123-0
    """
    wanted = EntryId.parse(entry_id)
    async with deployment.open_log() as log:
        if partition is not None and partition >= log.partitions:
            raise click.UsageError(f"--partition {partition}: the log has {log.partitions}")
        entry = await _find(log, wanted, partition)
        if output == "table":
            _print_entry(entry, log.keys.events(entry.partition), await now_of(log.server))
        else:
            print_value(output, as_json(entry))


async def _find(log: EventLog, entry_id: EntryId, partition: int | None) -> Entry:
    found: list[Entry] = []
    for one in range(log.partitions) if partition is None else [partition]:
        raw = await log.server.client.call(
            "XRANGE", log.keys.events(one), str(entry_id), str(entry_id)
        )
        found += entries_of(raw, one)
    if not found:
        raise NotFoundError(f"entry {entry_id} is not in the log {log.keys.namespace!r}")
    if len(found) > 1:
        partitions = ", ".join(str(entry.partition) for entry in found)
        raise click.UsageError(f"entry {entry_id} is in the partitions {partitions}: say which one")
    return found[0]


def _print_entry(entry: Entry, stream: str, now: datetime) -> None:
    told = as_json(entry)
    payload = told.pop("payload", None)
    fields = told.pop("fields", {})
    line, age = Line.of(entry), age_of(entry.entry_id, now)
    print_pairs(
        [
            ("entry", told.pop("entry_id")),
            ("time", f"{line.day} {line.clock} UTC, {age} ago"),
            ("partition", f"{told.pop('partition')}, {stream}"),
            *((name.replace("_", " "), value or None) for name, value in told.items()),
            *((f"field {name}", _field(value)) for name, value in fields.items()),
        ]
    )
    if payload is not None:
        click.echo(click.style("payload", bold=True))
        shown = msgspec.json.format(msgspec.json.encode(payload), indent=2).decode()
        click.echo("\n".join(f"  {printable(line)}" for line in shown.splitlines()))


def _field(value: str | dict[str, str]) -> str:
    return value if isinstance(value, str) else f"{BINARY} {value[BINARY]}"


@click.group()
def streams() -> None:
    """Look at the streams that the log lies on."""


@streams.command("ls")
@output_option
@watch_option
@command_of
async def list_streams(deployment: Deployment, *, output: OutputForm, watch: float | None) -> None:
    """List the partitions of the log, each one Redis stream.

    BYTES is an estimate from a few entries; ADDED counts the trimmed ones too; AGE is how long ago
    the last entry was appended.

    \b
    Example: routestream streams ls --watch 5
    """
    async with deployment.open_log() as log:

        async def show_streams() -> None:
            found = [await read_stream(log, partition) for partition in range(log.partitions)]
            there = [state for state in found if state is not None]
            now = await now_of(log.server)
            columns = (
                Column("STREAM", folds=True),
                *(Column(name, is_number=True) for name in _COUNTED),
                *(Column(name, is_below=True) for name in ("FIRST", "LAST")),
                Column("AGE"),
            )
            rows = (_row(state, now) for state in there)
            values = (_as_json(state) for state in there)
            nothing = f"no streams: nothing was ever appended to {log.keys.namespace!r}"
            print_rows(output, columns, rows, values, nothing=nothing)

        await watched(watch, show_streams)


_COUNTED = ("LENGTH", "BYTES", "ADDED", "GROUPS")


def _row(state: StreamState, now: datetime) -> tuple[object, ...]:
    size = decimal(state.size_bytes).replace(" bytes", " B")
    counted = (state.length, size, state.added, state.groups)
    age = None if state.last is None else age_of(state.last, now)
    return (state.stream, *counted, state.first, state.last, age)


def _as_json(state: StreamState) -> dict[str, object]:
    return {
        "stream": state.stream,
        "partition": state.partition,
        "length": state.length,
        "bytes": state.size_bytes,
        "added": state.added,
        "groups": state.groups,
        "first": None if state.first is None else str(state.first),
        "last": None if state.last is None else str(state.last),
    }
