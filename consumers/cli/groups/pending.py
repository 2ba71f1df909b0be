"""The command that lists the pending entries of a group."""

from collections.abc import Sequence
from datetime import datetime

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.groups.show import states_of
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    output_option,
    print_rows,
    shown_id,
    watch_option,
    watched,
)
from consumers.cli.terminal.table import Column, Columns
from consumers.groups.details import PendingItem, list_pending, look_up, read_members
from consumers.groups.state import GroupState
from events.entry.age import age_of, span
from events.entry.entry_id import EntryId
from events.entry.position import parse_span, time_of
from events.log.log import EventLog
from events.server.server import now_of

LIMIT = 20
LIMIT_MAX = 10_000


class PendingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One pending entry; *type* and *endpoint* are null if it is gone from the log."""

    entry_id: EntryId
    partition: int
    time: str
    type: str | None
    endpoint: str | None
    consumer: str
    idle_ms: int
    deliveries: int
    last_error: str | None


def _columns(now: datetime, *, wide: bool) -> Columns[PendingRow]:
    return (
        Column("ENTRY", lambda row: row.entry_id),
        Column("PARTITION", lambda row: row.partition, is_number=True),
        Column("AGE", lambda row: age_of(row.entry_id, now)),
        Column("TYPE", lambda row: _GONE if row.type is None else row.type, is_below=True),
        Column("ENDPOINT", lambda row: shown_id(row.endpoint or "", wide=wide)),
        Column("CONSUMER", lambda row: row.consumer, folds=True),
        Column("IDLE", lambda row: span(row.idle_ms / 1_000)),
        Column("DELIVERIES", lambda row: row.deliveries, is_number=True),
        Column("LAST ERROR", lambda row: row.last_error or "—", folds=True, is_below=True),
    )


_GONE = "gone from the log"


@click.command("pending")
@click.argument("group")
@click.option("--consumer", help="Only with this consumer.")
@click.option("--idle", metavar="AGE", help="Only what nobody has worked on for so long: 90s.")
@click.option(
    "-n",
    "--count",
    "limit",
    type=click.IntRange(1, LIMIT_MAX),
    default=LIMIT,
    show_default=True,
    help="How many, the oldest first.",
)
@output_option
@watch_option
@command_of
async def show_pending(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    group: str,
    consumer: str | None,
    idle: str | None,
    limit: int,
    output: OutputForm,
    watch: float | None,
) -> None:
    """List what was delivered to GROUP and not acknowledged: what it is, with whom, since when.

    IDLE is how long nobody has worked on the entry. LAST ERROR is the error of its last failed try;
    for an entry that was requeued and not tried since, the error that made it a dead letter.

    \b
    Example: routestream groups pending webhook --idle 1m
    """
    min_idle_ms = 0 if idle is None else round(parse_span(idle) * 1_000)
    async with deployment.open_log() as log:

        async def show_it() -> None:
            found: list[tuple[int, PendingItem]] = []
            states = await states_of(log, group)
            for state in states:
                if state.activity == "missing":
                    continue
                items = await list_pending(
                    *(log, state.partition, group),
                    consumer=consumer,
                    min_idle_ms=min_idle_ms,
                    limit=limit,
                )
                found += [(state.partition, item) for item in items]
            oldest = sorted(found, key=lambda one: (one[1].entry_id, one[0]))[:limit]
            shown = await look_up(log, group, oldest)
            now = await now_of(log.server)
            rows = [_pending_row(p, item) for p, item in shown]
            nothing = "" if shown else await _why_nothing(log, states, consumer)
            columns = _columns(now, wide=output.is_wide)
            print_rows(output, PendingRow, rows, columns, nothing=nothing)

        await watched(watch, show_it)


async def _why_nothing(log: EventLog, states: Sequence[GroupState], consumer: str | None) -> str:
    """Return why no entry is shown; raise NotFoundError if there is no such consumer."""
    group, pending = states[0].group, sum(state.pending for state in states)
    if consumer is not None:
        known = set[str]()
        for state in states:
            if state.activity != "missing":
                members = await read_members(log, state.partition, group)
                known |= {member.name for member in members}
        if consumer not in known:
            existing = f"there are {', '.join(sorted(known))}" if known else "there are none"
            raise NotFoundError(f"group {group!r} has no consumer {consumer!r}; {existing}")
    return f"none of the {pending} pending entries is meant" if pending else "nothing is pending"


def _pending_row(partition: int, item: PendingItem) -> PendingRow:
    line = None if item.entry is None else Line.of(item.entry)
    return PendingRow(
        entry_id=item.entry_id,
        partition=partition,
        time=time_of(item.entry_id).isoformat(),
        type=None if line is None else line.name,
        endpoint=None if line is None else line.endpoint_id,
        consumer=item.consumer,
        idle_ms=item.idle_ms,
        deliveries=item.deliveries,
        last_error=item.last_error,
    )
