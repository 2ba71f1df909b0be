"""The commands that show dead letters: the entries that a group has given up on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from msgspec.structs import replace

from consumers.cli.dead.filter import DeadFilter, Meant, filter_options, find_dead
from consumers.cli.deployment import Deployment, command_of
from consumers.cli.events.selection import tell_missing_log
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.entry_json import BINARY, fields_as_text
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    output_option,
    print_pairs,
    print_rows,
    print_value,
    printable,
    watch_option,
    watched,
)
from consumers.cli.terminal.table import Column
from consumers.cli.terminal.talk import say
from consumers.groups.requeue import Requeue
from consumers.runtime.dead_letters import DeadEntry
from events.entry.age import age_of, span
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.server.server import now_of

DEAD_COUNT = 20

Requeues = Mapping[tuple[str, int, EntryId], int]
"""How often the entry of a group and partition was requeued before."""


@click.group(cls=CommandGroup)
def dead() -> None:
    """Look at dead letters, the entries that a group has given up on; have them tried again."""


@dead.command("ls")
@filter_options
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
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
    async with deployment.open_log() as log:

        async def show_dead() -> None:
            now = await now_of(log.server)
            meant = await find_dead(log, DeadFilter.parse(now, **given), count)
            await print_dead(log, output, meant, now)
            if not meant:
                await tell_missing_log(log)

        await watched(watch, show_dead)


async def print_dead(
    log: EventLog, output: OutputForm, meant: Sequence[Meant], now: datetime
) -> None:
    """Print dead letters as rows, or as JSON."""
    requeues = await _requeues(log, meant)
    columns = _columns(log.partitions)
    rows = (_dead_row(one, requeues, now, wide=output.is_wide) for one in meant)
    values = (_dead_as_json(one, requeues) for one in meant)
    print_rows(output, columns, rows, values, fields=_DEAD_FIELDS, nothing="no dead letters")


def _columns(partitions: int) -> tuple[Column, ...]:
    """Return the columns: on several partitions ids may coincide, on one they never do."""
    return (
        Column("DEAD ID"),
        Column("GROUP", folds=True),
        Column("PARTITION", is_number=True, is_below=True, is_wide=partitions == 1),
        Column("ENTRY"),
        Column("TYPE", is_below=True),
        Column("ENDPOINT"),
        Column("REASON", is_below=True),
        Column("ERROR", folds=True, is_below=True),
        Column("DELIVERIES", is_number=True),
        Column("REQUEUED", is_number=True, is_below=True),
        Column("LAST TRY"),
    )


async def _requeues(log: EventLog, meant: Sequence[Meant]) -> Requeues:
    by_place: dict[tuple[str, int], list[EntryId]] = {}
    for one in meant:
        by_place.setdefault((one.group, one.partition), []).append(one.letter.original.entry_id)
    return {
        (group, partition, entry_id): times
        for (group, partition), ids in by_place.items()
        for entry_id, (times, _) in (await Requeue(log, partition, group).history(ids)).items()
    }


def _times(one: Meant, requeues: Requeues) -> int:
    return requeues.get((one.group, one.partition, one.letter.original.entry_id), 0)


def _dead_row(one: Meant, requeues: Requeues, now: datetime, *, wide: bool) -> tuple[object, ...]:
    letter = one.letter
    line = Line.of(letter.original, wide=wide)
    return (
        letter.dead_id,
        one.group,
        one.partition,
        letter.original.entry_id,
        line.name,
        line.endpoint,
        letter.reason,
        letter.error,
        letter.deliveries,
        _times(one, requeues) or None,
        span((now - letter.last_at).total_seconds()),
    )


_DEAD_FIELDS = (
    *("dead_id", "group", "entry_id", "partition", "reason", "error", "deliveries", "requeued"),
    *("consumer", "first_at", "last_at", "fields"),
)


def _dead_as_json(one: Meant, requeues: Requeues) -> dict[str, Any]:
    letter = one.letter
    return {
        "dead_id": str(letter.dead_id),
        "group": one.group,
        "entry_id": str(letter.original.entry_id),
        "partition": letter.original.partition,
        "reason": letter.reason,
        "error": letter.error,
        "deliveries": letter.deliveries,
        "requeued": _times(one, requeues),
        "consumer": letter.consumer,
        "first_at": letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
        "fields": fields_as_text(letter.original.fields),
    }


@dead.command("show")
@click.argument("dead_id", metavar="ID")
@click.option("--group", help="Where several groups have given up on the entry.")
@click.option("--partition", type=click.IntRange(min=0), help="Where the id lies on several.")
@output_option
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
    async with deployment.open_log() as log:
        one = await _the_one(log, DeadFilter(group=group, partition=partition), dead_id)
        requeues = await _requeues(log, [one])
        if not output.is_table:
            print_value(output, _dead_as_json(one, requeues))
            return
        _print_letter(output, one, _times(one, requeues), await now_of(log.server))
        place = f" --partition {one.partition}" if log.partitions > 1 else ""
        command = f"routestream dead requeue {one.group}{place} --ids {one.letter.dead_id}"
        say("")
        say(f"To have it tried again: {command}")


async def _the_one(log: EventLog, among: DeadFilter, dead_id: str) -> Meant:
    wanted = frozenset([EntryId.parse(dead_id)])
    found = await find_dead(log, replace(among, ids=wanted), DEAD_COUNT)
    if not found:
        found = await find_dead(log, replace(among, entry_ids=wanted), DEAD_COUNT)
    if not found:
        raise NotFoundError(f"{dead_id} is neither a dead letter nor the entry of one")
    if len(found) > 1:
        places = "; ".join(
            f"{one.letter.dead_id} of {one.group}, partition {one.partition}" for one in found
        )
        raise click.UsageError(f"{dead_id} is {places}: say which one by --group or --partition")
    return found[0]


def _print_letter(output: OutputForm, one: Meant, requeued: int, now: datetime) -> None:
    letter = one.letter
    original = letter.original
    line = Line.of(original, wide=output.is_wide)
    print_pairs(
        output,
        [
            ("dead letter", f"{letter.dead_id}, {age_of(letter.dead_id, now)} ago"),
            ("group", f"{one.group}, partition {one.partition}"),
            ("entry", f"{original.entry_id}, {age_of(original.entry_id, now)} old"),
            ("type", line.name),
            ("endpoint", line.endpoint),
            ("says", line.summary),
            ("reason", letter.reason),
            ("error", letter.error or None),
            ("deliveries", letter.deliveries),
            ("requeued", f"{requeued} times" if requeued else None),
            ("consumer", letter.consumer),
            ("tried", f"{_clock(letter.first_at)} to {_clock(letter.last_at)} UTC"),
            *_fields(letter),
        ],
    )


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _fields(letter: DeadEntry) -> list[tuple[str, str]]:
    fields = fields_as_text(letter.original.fields).items()
    return [
        (
            printable(f"field {name}"),
            value if isinstance(value, str) else f"{BINARY} {value[BINARY]}",
        )
        for name, value in fields
    ]
