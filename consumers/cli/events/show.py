"""The command that shows one entry."""

from collections.abc import Iterator
from typing import Any

import click
import msgspec
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.events.selection import Asked, open_selection, stream_option
from consumers.cli.terminal.entry_json import field_lines, fields_as_text
from consumers.cli.terminal.entry_reading import EntryReading
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import partition_type, partitions_of
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    output_option,
    print_pairs,
    print_rich,
    print_table,
    print_value,
    printable,
    watch_option,
)
from consumers.cli.terminal.table import Column, Columns, times_of
from consumers.groups.entry_groups import EntryGroup, read_entry_groups
from events.entry.age import age_of, span
from events.entry.codec import decode, upcasts
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import EventsError
from events.history.history import History
from events.server.server import now_of

_BYTES = 16


_PRINTABLE = range(0x20, 0x7F)


def hex_dump(raw: bytes) -> Iterator[str]:
    """Yield lines of the offset of the first byte, the bytes, and the characters."""
    for start in range(0, len(raw), _BYTES):
        line = raw[start : start + _BYTES]
        shown = "".join(chr(byte) if byte in _PRINTABLE else "." for byte in line)
        yield f"{start:08x}  {line.hex(' '):{3 * _BYTES - 1}}  {shown}"


_GROUP_COLUMNS: Columns[EntryGroup] = (
    Column("GROUP", lambda one: one.group, folds=True),
    Column("STATE", lambda one: one.state),
    Column("CONSUMER", lambda one: one.consumer, folds=True, is_below=True),
    Column("IDLE", lambda one: None if one.idle_ms is None else span(one.idle_ms / 1_000)),
    Column("DELIVERIES", lambda one: one.deliveries, is_number=True),
    Column("LAST ERROR", lambda one: one.last_error, folds=True, is_below=True),
)


@click.command()
@click.argument("entry_id", metavar="ID")
@click.option("--partition", type=partition_type, help="Where the id lies on several.")
@click.option("--raw", is_flag=True, help="Its fields as they were written, nothing decoded.")
@click.option("--hex", "as_hex", is_flag=True, help="The bytes of its fields.")
@stream_option
@output_option
@watch_option
@command_of
async def show(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    entry_id: str,
    partition: int | None,
    raw: bool,
    as_hex: bool,
    stream: str | None,
    output: OutputForm,
) -> None:
    """Show one entry with all that it holds, and what each group has done with it.

    A payload of an older version is shown as it was written and as it is read, with the upcasts
    between. A group has acknowledged an entry, has given it up (a dead letter), has it pending
    with a consumer, or it is not delivered to it yet.

    \b
    Example: routestream events show 1769896800123-0
    Example: routestream events show 1769896800123-0 --hex
    """
    wanted = EntryId.parse(entry_id)
    async with open_selection(deployment, Asked(stream=stream)) as selection:
        log = selection.log
        entry = await _find(log, wanted, partition)
        if raw or as_hex:
            _print_fields(output, entry, as_hex=as_hex)
            return
        groups = await read_entry_groups(log.log, entry.partition, wanted)
        if not output.is_table:
            print_value(output, {**_value(selection.reading, entry), "groups": groups})
            return
        key = log.keys.events(entry.partition)
        place = f"{entry.partition}, {key}" if stream is None else key
        age = age_of(wanted, await now_of(log.server))
        _print_entry(output, selection.reading, entry, place, age)
        _print_groups(output, groups)


async def _find(log: History, entry_id: EntryId, partition: int | None) -> Entry:
    looked = [await log.find(one, entry_id) for one in partitions_of(log.log, partition)]
    found = [entry for entry in looked if entry is not None]
    if not found:
        where = "" if partition is None else f" in partition {partition} of"
        raise NotFoundError(f"entry {entry_id} is not{where or ' in'} {log.keys.of_what}")
    if len(found) > 1:
        which = "; ".join(f"--partition {one.partition} for {_named(one)}" for one in found)
        raise click.UsageError(f"{len(found)} partitions have an entry {entry_id}: {which}")
    return found[0]


def _named(entry: Entry) -> str:
    """Describe an entry, to distinguish it from others with the same id."""
    try:
        recorded = decode(entry)
    except EventsError:
        return "one that cannot be read"
    return f"{recorded.event.wire_name} of endpoint {recorded.endpoint_id}"


def _print_fields(output: OutputForm, entry: Entry, *, as_hex: bool) -> None:
    if not output.is_table:
        fields: dict[str, Any] = fields_as_text(entry.pairs)
        if as_hex:
            fields = _in_hex(entry)
        print_value(output, {"entry_id": str(entry.entry_id), "fields": fields})
        return
    if not as_hex:
        print_pairs(output, ((_text(name), _text(value)) for name, value in entry.pairs))
        return
    for name, value in entry.pairs:
        print_rich(output, Text(f"{printable(_text(name))}, {len(value)} bytes", "bold"))
        for line in hex_dump(value):
            click.echo(f"  {line}")


def _in_hex(entry: Entry) -> dict[str, Any]:
    """Return the bytes of each field; a list of them for one that is given several times."""
    found: dict[str, list[str]] = {}
    for name, value in entry.pairs:
        found.setdefault(printable(_text(name)), []).append(value.hex())
    return {name: given if len(given) > 1 else given[0] for name, given in found.items()}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _value(reading: EntryReading, entry: Entry) -> dict[str, Any]:
    """Return the entry as JSON; *read_as* is the upcast event, null for the newest version."""
    value = reading.value(entry)
    steps = [] if "problem" in value else upcasts(entry)
    listed = [{"from": old, "to": old + 1, "by": name} for old, name in steps]
    return {**value, "upcasts": listed, "read_as": _read_as(entry) if steps else None}


def _read_as(entry: Entry) -> Any:  # noqa: ANN401 - JSON
    try:
        return msgspec.to_builtins(decode(entry).event)
    except EventsError:
        return None


def _print_entry(
    output: OutputForm, reading: EntryReading, entry: Entry, place: str, age: str | None
) -> None:
    values = _value(reading, entry)
    payload, read_as = values.pop("payload", None), values.pop("read_as")
    fields, upcasted = values.pop("fields", {}), values.pop("upcasts")
    values.pop("partition")
    led = (f"version {step['from']} to {step['to']} by {step['by']}" for step in upcasted)
    print_pairs(
        output,
        [
            ("entry", values.pop("entry_id")),
            ("time", f"{times_of(entry.entry_id)}, {age or '0s'} ago"),
            ("partition" if not reading.is_foreign else "stream", place),
            *((name.replace("_", " "), value or None) for name, value in values.items()),
            *field_lines(fields),
            ("upcast", ", ".join(led) or None),
        ],
    )
    for name, shown in (("payload", payload), ("read as", read_as)):
        if shown is not None:
            print_rich(output, Text(name, "bold"))
            text = msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
            click.echo("\n".join(f"  {printable(line)}" for line in text.splitlines()))


def _print_groups(output: OutputForm, groups: list[EntryGroup]) -> None:
    if not groups:
        say("no group reads it")
        return
    click.echo()
    print_table(output, _GROUP_COLUMNS, groups)
