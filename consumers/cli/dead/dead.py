"""The commands that show dead letters: the entries that a group has given up on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from consumers.cli.dead.filter import DeadFilter, Meant, filter_options, find_dead
from consumers.cli.dead.places import DeadPlace, DeadPlaces, open_places
from consumers.cli.deployment import Deployment, command_of
from consumers.cli.events.selection import tell_missing_log
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.entry_json import FieldValue, field_lines, fields_as_text
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import COUNT_MAX, partition_type
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    output_option,
    print_pairs,
    print_rows,
    print_value,
    shown_id,
    watch_option,
    watched,
)
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from consumers.runtime.dead_letters import DeadEntry
from events.entry.age import age_of, span
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.server.server import now_of

DEAD_COUNT = 20

Requeues = Mapping[tuple[DeadPlace, EntryId], int]
"""How often an entry was requeued before, by where it lies and its id."""


@click.group(cls=CommandGroup)
def dead() -> None:
    """Look at dead letters, the entries that a group has given up on; have them tried again."""


@dead.command("ls")
@filter_options
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, COUNT_MAX),
    default=DEAD_COUNT,
    show_default=True,
    help="How many of the newest.",
)
@output_option
@watch_option
@command_of
async def list_dead(
    deployment: Deployment,
    /,
    *,
    count: int,
    output: OutputForm,
    watch: float | None,
    **given: Any,  # noqa: ANN401 - see filter_options
) -> None:
    """List the newest dead letters, of all groups or of GROUP, and why each was given up on.

    REQUEUED is how often it was requeued before, and died again.

    \b
    Example: routestream dead ls route-table --error timeout --from -2h
    """
    async with (
        deployment.open_log() as log,
        open_places(log, deployment.settings) as places,
    ):

        async def show_dead() -> None:
            now = await now_of(log.server)
            wanted = await DeadFilter.of_options(log, **given)
            meant = await find_dead(places, wanted, count)
            await print_dead(log, output, meant, now)
            if not meant:
                await tell_missing_log(log)

        await watched(watch, show_dead)


async def print_dead(
    log: EventLog, output: OutputForm, meant: Sequence[Meant], now: datetime
) -> None:
    """Print dead letters as rows, or as JSON."""
    rows = await _rows(meant)
    columns = _columns(log.partitions, now, wide=output.is_wide)
    print_rows(output, DeadRow, rows, columns, nothing="no dead letters")


class DeadRow(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter; *requeued* is how often it was requeued before."""

    dead_id: EntryId
    group: str
    entry_id: EntryId
    partition: int
    reason: str
    error: str
    deliveries: int
    requeued: int
    consumer: str
    first_at: str
    last_at: str
    fields: dict[str, FieldValue]
    letter: ForTable[DeadEntry]
    line: ForTable[Line]


def _columns(partitions: int, now: datetime, *, wide: bool) -> Columns[DeadRow]:
    """Return the columns; PARTITION is always shown if there are several: ids may coincide."""
    return (
        Column("DEAD ID", lambda row: row.dead_id),
        Column("GROUP", lambda row: row.group, folds=True),
        Column(
            "PARTITION",
            lambda row: row.partition,
            is_number=True,
            is_below=True,
            is_wide=partitions == 1,
        ),
        Column("ENTRY", lambda row: row.entry_id),
        Column("TYPE", lambda row: row.line.name, is_below=True),
        Column("ENDPOINT", lambda row: shown_id(row.line.endpoint_id, wide=wide)),
        Column("REASON", lambda row: row.reason, is_below=True),
        Column("ERROR", lambda row: row.error, folds=True, is_below=True),
        Column("DELIVERIES", lambda row: row.deliveries, is_number=True),
        Column("REQUEUED", lambda row: row.requeued or None, is_number=True, is_below=True),
        Column("LAST TRY", lambda row: span((now - row.letter.last_at).total_seconds())),
    )


async def _rows(meant: Sequence[Meant]) -> list[DeadRow]:
    requeues = await _requeues(meant)
    return [
        DeadRow(
            dead_id=item.letter.dead_id,
            group=item.place.group,
            entry_id=item.letter.original.entry_id,
            partition=item.place.partition,
            reason=item.letter.reason,
            error=item.letter.error,
            deliveries=item.letter.deliveries,
            requeued=requeues.get((item.place, item.letter.original.entry_id), 0),
            consumer=item.letter.consumer,
            first_at=item.letter.first_at.isoformat(),
            last_at=item.letter.last_at.isoformat(),
            fields=fields_as_text(item.letter.original.pairs),
            letter=item.letter,
            line=Line.of(item.letter.original),
        )
        for item in meant
    ]


async def _requeues(meant: Sequence[Meant]) -> Requeues:
    by_place: dict[DeadPlace, list[EntryId]] = {}
    for one in meant:
        by_place.setdefault(one.place, []).append(one.letter.original.entry_id)
    return {
        (place, entry_id): times
        for place, ids in by_place.items()
        for entry_id, (times, _) in (await place.requeue.history(ids)).items()
    }


@dead.command("show")
@click.argument("dead_id", metavar="ID")
@click.option("--group", help="Where several groups have given up on the entry.")
@click.option("--partition", type=partition_type, help="Where the id lies on several.")
@output_option
@watch_option
@command_of
async def show_dead_letter(
    deployment: Deployment,
    *,
    dead_id: str,
    group: str | None,
    partition: int | None,
    output: OutputForm,
) -> None:
    """Show one dead letter with all that its entry held. ID is its own id, or else the entry's.

    \b
    Example: routestream dead show 1769896800123-0
    """
    async with (
        deployment.open_log() as log,
        open_places(log, deployment.settings) as places,
    ):
        meant = await _find_letter(places, DeadFilter(group=group, partition=partition), dead_id)
        [row] = await _rows([meant])
        if not output.is_table:
            print_value(output, row)
            return
        _print_letter(output, row, await now_of(log.server))
        place = f" --partition {row.partition}" if log.partitions > 1 else ""
        command = f"routestream dead requeue {row.group}{place} --ids {row.dead_id}"
        say("")
        say(f"To have it tried again: {command}")


async def _find_letter(places: DeadPlaces, within: DeadFilter, dead_id: str) -> Meant:
    wanted = frozenset([EntryId.parse(dead_id)])
    found = await find_dead(places, replace(within, ids=wanted), DEAD_COUNT)
    if not found:
        found = await find_dead(places, replace(within, entry_ids=wanted), DEAD_COUNT)
    if not found:
        raise NotFoundError(f"{dead_id} is neither a dead letter nor the entry of one")
    if len(found) > 1:
        found_at = "; ".join(
            f"{one.letter.dead_id} of {one.place.group}, partition {one.place.partition}"
            for one in found
        )
        raise click.UsageError(f"{dead_id} is {found_at}: say which one by --group or --partition")
    return found[0]


def _print_letter(output: OutputForm, row: DeadRow, now: datetime) -> None:
    line = Line.of(row.letter.original, wide=output.is_wide)
    print_pairs(
        output,
        [
            ("dead letter", f"{row.dead_id}, {age_of(row.dead_id, now)} ago"),
            ("group", f"{row.group}, partition {row.partition}"),
            ("entry", f"{row.entry_id}, {age_of(row.entry_id, now)} old"),
            ("type", line.name),
            ("endpoint", line.endpoint),
            ("says", line.summary),
            ("reason", row.reason),
            ("error", row.error or None),
            ("deliveries", row.deliveries),
            ("requeued", f"{row.requeued} times" if row.requeued else None),
            ("consumer", row.consumer),
            ("tried", f"{_clock(row.letter.first_at)} to {_clock(row.letter.last_at)}"),
            *field_lines(row.fields),
        ],
    )


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
