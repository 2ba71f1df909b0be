"""The commands that show the groups, and the entries that they have given up on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from rich.text import Text

from consumers.dead_letters import DeadEntry, DeadLetters
from consumers.group_state import Activity, GroupState, group_infos, read_group_states
from consumers.groups import GROUPS
from events.age import age_of, now_of, span
from events.entry_id import START
from events.line import Line
from events.log import EventLog
from events.printed import fields_as_text
from events.table import Column
from events.terminal import (
    Deployment,
    NotFoundError,
    OutputForm,
    command_of,
    output_option,
    print_rows,
    watch_option,
    watched,
)

DEAD_COUNT = 20

GROUP_COLUMNS = (
    Column("GROUP", folds=True),
    Column("PARTITION", is_number=True),
    Column("CONSUMERS", is_number=True),
    Column("PENDING", is_number=True),
    Column("LAG", is_number=True),
    Column("BACKLOG", is_number=True),
    Column("LAST DELIVERED", is_below=True),
    Column("OLDEST PENDING", is_below=True),
    Column("STATE", folds=True),
)
_COLOURS: dict[Activity, str] = {
    "missing": "red",
    "stopped": "red",
    "silent": "red",
    "working": "yellow",
    "up to date": "green",
}
DEAD_COLUMNS = (
    Column("DEAD ID"),
    Column("GROUP", folds=True),
    Column("ENTRY"),
    Column("TYPE", is_below=True),
    Column("ENDPOINT"),
    Column("REASON", is_below=True),
    Column("ERROR", folds=True, is_below=True),
    Column("DELIVERIES", is_number=True),
    Column("LAST TRY"),
)

DeadOf = tuple[str, DeadEntry]
"""A group, and one of its dead letters."""


@click.group()
def groups() -> None:
    """Look at the groups that read the log."""


@groups.command("ls")
@output_option
@watch_option
@command_of
async def list_groups(deployment: Deployment, *, output: OutputForm, watch: float | None) -> None:
    """List the groups: what each has still to read and to end, and whether it does.

    LAG is what was not yet delivered, PENDING what was not yet acknowledged, BACKLOG both; >= says
    that no more were counted. OLDEST PENDING is how long ago that entry was appended.

    \b
    Example: routestream groups ls --watch 2
    """
    async with deployment.open_log() as log:

        async def show_groups() -> None:
            states = [state async for state in read_group_states(log)]
            now = await now_of(log.server)
            rows = (_group_row(state, now) for state in states)
            values = (_group_as_json(state) for state in states)
            print_rows(output, GROUP_COLUMNS, rows, values, nothing="no groups")

        await watched(watch, show_groups)


def _group_row(state: GroupState, now: datetime) -> tuple[object, ...]:
    told = f"{state.activity}, {state.lost} lost" if state.lost else state.activity
    shown = Text(told, "red" if state.lost else _COLOURS[state.activity])
    if state.activity == "missing":
        return (state.group, state.partition, *[None] * 6, shown)
    oldest = state.oldest_pending
    return (
        state.group,
        state.partition,
        state.consumers,
        state.pending,
        f">={state.lag_min}" if state.lag is None else state.lag,
        f">={state.lag_min + state.pending}" if state.backlog is None else state.backlog,
        state.last_delivered if state.last_delivered > START else "none",
        None if oldest is None else age_of(oldest, now),
        shown,
    )


def _group_as_json(state: GroupState) -> dict[str, Any]:
    delivered = state.last_delivered > START
    return {
        "group": state.group,
        "partition": state.partition,
        "state": state.activity.replace(" ", "_"),
        "consumers": state.consumers,
        "pending": state.pending,
        "lag": state.lag,
        "lag_min": state.lag_min,
        "backlog": state.backlog,
        "lost": state.lost,
        "last_delivered": str(state.last_delivered) if delivered else None,
        "oldest_pending": None if state.oldest_pending is None else str(state.oldest_pending),
    }


@click.group()
def dead() -> None:
    """Look at dead letters: the entries that a group has given up on."""


@dead.command("ls")
@click.argument("group", required=False)
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
    *,
    group: str | None,
    count: int,
    output: OutputForm,
    watch: float | None,
) -> None:
    """List the newest dead letters, of all groups or of GROUP, and why each was given up on.

    \b
    Example: routestream dead ls route-table -n 5
    """
    async with deployment.open_log() as log:

        async def show_dead() -> None:
            newest = await _newest(log, await _groups_of(log, group), count)
            now = await now_of(log.server)
            rows = (_dead_row(name, letter, now) for name, letter in newest)
            values = (_dead_as_json(name, letter) for name, letter in newest)
            print_rows(output, DEAD_COLUMNS, rows, values, nothing="no dead letters")

        await watched(watch, show_dead)


async def _groups_of(log: EventLog, group: str | None) -> Sequence[str]:
    """Return the groups to look at: *group*, or all that are shipped or that the log has."""
    known = set(GROUPS)
    for partition in range(log.partitions):
        infos = await group_infos(log, partition)
        known |= {about["name"].decode("utf-8", "replace") for about in infos}
    if group is None:
        return sorted(known)
    if group not in known and not await _has_dead(log, group):
        raise NotFoundError(f"group {group!r} is not one of {', '.join(sorted(known))}")
    return [group]


async def _has_dead(log: EventLog, group: str) -> bool:
    keys = [log.keys.dead(partition, group) for partition in range(log.partitions)]
    return any([await log.server.client.call("EXISTS", key) for key in keys])


async def _newest(log: EventLog, names: Sequence[str], count: int) -> list[DeadOf]:
    """Return the newest *count* dead letters of all these groups, oldest first."""
    found: list[DeadOf] = []
    for name in names:
        for partition in range(log.partitions):
            letters = DeadLetters(log.server, log.keys, partition, name)
            found += [(name, letter) for letter in await letters.newest(count)]
    return sorted(found, key=lambda one: (one[1].dead_id, one[0]))[-count:]


def _dead_row(group: str, letter: DeadEntry, now: datetime) -> tuple[object, ...]:
    line = Line.of(letter.original)
    return (
        letter.dead_id,
        group,
        letter.original.entry_id,
        line.name,
        line.endpoint,
        letter.reason,
        letter.error,
        letter.deliveries,
        span((now - letter.last_at).total_seconds()),
    )


def _dead_as_json(group: str, letter: DeadEntry) -> dict[str, Any]:
    return {
        "dead_id": str(letter.dead_id),
        "group": group,
        "entry_id": str(letter.original.entry_id),
        "partition": letter.original.partition,
        "reason": letter.reason,
        "error": letter.error,
        "deliveries": letter.deliveries,
        "consumer": letter.consumer,
        "first_at": letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
        "fields": fields_as_text(letter.original.fields),
    }
