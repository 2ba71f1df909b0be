"""The commands that show one group, and the entries that it lost."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import click
import msgspec
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.groups.groups import GroupRow, group_facts, lag_of
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import reason_option
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    confirm,
    output_option,
    print_pairs,
    print_rows,
    print_table,
    watch_option,
    watched,
    yes_option,
)
from consumers.cli.terminal.output_form import ForTable, print_values
from consumers.cli.terminal.table import Column, Columns
from consumers.groups.details import (
    GroupConsumer,
    GroupDetails,
    read_details,
)
from consumers.groups.foreign_groups import opened_place
from consumers.groups.operations import Operation, operation
from consumers.groups.seen_losses import GroupLosses, mark_seen, read_group_losses
from consumers.groups.state import GroupState, read_group_states
from consumers.processes.registry import fleet_in_words, fleets_of, read_processes
from consumers.runtime.losses import Loss
from events.entry.age import age_of, span
from events.entry.entry_id import START, EntryId
from events.log.log import EventLog
from events.server.server import now_of

_MEMBER_COLUMNS: Columns[GroupConsumer] = (
    Column("CONSUMER", lambda member: member.name, folds=True),
    Column("HOST", lambda member: member.host, folds=True),
    Column("PID", lambda member: member.pid, is_number=True),
    Column("PENDING", lambda member: member.pending, is_number=True),
    Column("IDLE", lambda member: span(member.idle_ms / 1_000)),
    Column("STATE", lambda member: Text(member.state, _colour(member))),
    Column("METRICS", lambda member: member.metrics, is_below=True),
)


def _colour(member: GroupConsumer) -> str:
    return "green" if member.state == "active" else "yellow"


class LossRow(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that a group lost; *partition* is set unless an enclosing row has it."""

    partition: int | msgspec.UnsetType = msgspec.UNSET
    why: str
    entries: int
    at_least: bool
    first: EntryId
    last: EntryId
    at: str
    seen: bool | msgspec.UnsetType = msgspec.UNSET
    shown_at: ForTable[str]


_LOSS_COLUMNS: Columns[LossRow] = (
    Column("AT", lambda row: row.shown_at, folds=True),
    Column("PARTITION", lambda row: row.partition, folds=True),
    Column("ENTRIES", lambda row: f"{'>=' if row.at_least else ''}{row.entries}", folds=True),
    Column("WHY", lambda row: row.why, folds=True),
    Column("FROM", lambda row: row.first, folds=True),
    Column("TO", lambda row: row.last, folds=True),
    Column("SEEN", lambda row: Text("yes") if row.seen else Text("no", "red"), folds=True),
)


class GroupDetailsRow(GroupRow, frozen=True, kw_only=True):
    """One group on one partition, with its consumers, losses and operations."""

    position: EntryId | None
    dead: int
    processes: int
    processes_wanted: int
    members: list[GroupConsumer]
    pending_looked_at: int
    pending_by_age: dict[str, int]
    pending_by_deliveries: dict[str, int]
    losses: list[LossRow]
    operations: list[Operation]


async def states_of(log: EventLog, group: str) -> list[GroupState]:
    """Return the group in every partition; raise NotFoundError naming the groups there are."""
    states = [state async for state in read_group_states(log, group)]
    if not states:
        known = sorted({state.group async for state in read_group_states(log)})
        existing = f"there are {', '.join(known)}" if known else "there are none"
        raise NotFoundError(f"the log {log.keys.namespace!r} has no group {group!r}; {existing}")
    return states


@click.command("show")
@click.argument("group")
@output_option
@watch_option
@command_of
async def show_group(
    deployment: Deployment, *, group: str, output: OutputForm, watch: float | None
) -> None:
    """Show one group: who its consumers are, what is pending, what was lost, what people did to it.

    PENDING is counted by the time since the entry was appended, and by how often it was delivered;
    of very many entries only the oldest 20,000 are counted. HOST and PID are those of the
    consumer's process, METRICS is where it serves its metrics. PROCESSES says how many run of those
    that there are to be.

    \b
    Example: routestream groups show route-table --watch 2
    """
    async with (
        deployment.open_log() as log,
        opened_place(log, deployment.settings, group) as place,
    ):

        async def show_it() -> None:
            now = await now_of(log.server)
            now_ms = round(now.timestamp() * 1_000)
            states = await states_of(place.log, place.group)
            call = log.server.client.call
            fleets = fleets_of(await read_processes(call, log.keys, now.timestamp()))
            if group in fleets:
                fleets = {place.group: fleets[group]}
            details = [await read_details(place.log, state, now_ms, fleets) for state in states]
            if not output.is_table:
                print_values(output, GroupDetailsRow, map(_details_row, details))
                return
            for number, of_partition in enumerate(details):
                if number:
                    click.echo()
                _print_details(output, of_partition, now)

        await watched(watch, show_it)


def _print_details(output: OutputForm, details: GroupDetails, now: datetime) -> None:
    state, pending = details.state, details.pending
    delivered, oldest = state.last_delivered, state.oldest_pending
    is_known = delivered > START
    counted = "" if pending.counted >= state.pending else f" (of the oldest {pending.counted})"
    print_pairs(
        output,
        [
            ("group", f"{state.group}, partition {state.partition}"),
            ("state", state.activity),
            ("processes", fleet_in_words(details.fleet)),
            (
                "last delivered",
                f"{delivered}, {age_of(delivered, now)} ago" if is_known else "none",
            ),
            ("position kept", details.position),
            ("lag", lag_of(state)),
            ("pending", state.pending),
            ("oldest pending", oldest and f"{oldest}, {age_of(oldest, now)} old"),
            ("pending by age", _shares(pending.by_age, counted)),
            ("pending by deliveries", _shares(pending.by_deliveries, counted)),
            ("dead letters", details.dead),
            ("lost", "unknown" if state.lost is None else state.lost),
            *(("loss", _loss_as_text(loss)) for loss in details.losses),
            *(("operation", _operation_as_text(one)) for one in details.operations),
        ],
    )
    if details.members:
        click.echo()
        print_table(output, _MEMBER_COLUMNS, details.members)
    elif state.activity != "missing":
        say("no consumers")


def _shares(counts: Mapping[str, int], counted: str) -> str | None:
    shares = ", ".join(f"{name}: {count}" for name, count in counts.items() if count)
    return f"{shares}{counted}" if shares else None


def _operation_as_text(done: Operation) -> str:
    text = f"{done.at} {done.who} {done.what}: {done.before} -> {done.after}"
    return f"{text}, {done.reason!r}" if done.reason else text


def _loss_as_text(loss: Loss) -> str:
    return f"{loss.at:%Y-%m-%d %H:%M:%S} UTC {loss.entries} {loss.why}, {loss.first} to {loss.last}"


def _details_row(details: GroupDetails) -> GroupDetailsRow:
    return GroupDetailsRow(
        **group_facts(details.state),
        position=details.position,
        dead=details.dead,
        processes=len(details.fleet.alive),
        processes_wanted=details.fleet.wanted,
        members=list(details.members),
        pending_looked_at=details.pending.counted,
        pending_by_age=dict(details.pending.by_age),
        pending_by_deliveries=dict(details.pending.by_deliveries),
        losses=[_loss_row(loss) for loss in details.losses],
        operations=list(details.operations),
    )


def _loss_row(
    loss: Loss,
    partition: int | msgspec.UnsetType = msgspec.UNSET,
    seen: bool | msgspec.UnsetType = msgspec.UNSET,  # noqa: FBT001 - a field of the row
) -> LossRow:
    return LossRow(
        partition=partition,
        seen=seen,
        why=loss.why,
        entries=loss.entries,
        at_least=loss.is_least,
        first=loss.first,
        last=loss.last,
        at=loss.at.isoformat(),
        shown_at=f"{loss.at:%Y-%m-%d %H:%M:%S}Z",
    )


@click.command("losses")
@click.argument("group")
@click.option("--ack", is_flag=True, help="Note that you have seen them; newer ones stay unseen.")
@reason_option
@yes_option
@output_option
@watch_option
@command_of
async def show_losses(
    deployment: Deployment, *, group: str, ack: bool, reason: str, yes: bool, output: OutputForm
) -> None:
    """List what GROUP found gone before it had ended it, when, and why.

    With --ack nothing is brought back: it is noted who has seen the losses, and why they may stand.
    `doctor` and `check` warn of those that nobody has seen.

    \b
    Example: routestream groups losses route-table
             routestream groups losses route-table --ack --reason "rebuilt on Monday"
    """
    async with (
        deployment.open_log() as own_log,
        opened_place(own_log, deployment.settings, group) as place,
    ):
        log, name = place.log, place.group
        states = await states_of(log, name)
        found = [await read_group_losses(log, state.partition, name) for state in states]
        rows = [
            (loss.at, _loss_row(loss, of.partition, of.seen.has(loss)))
            for of in found
            for loss in of.losses
        ]
        shown = [row for _, row in sorted(rows, key=lambda row: row[0])]
        print_rows(output, LossRow, shown, _LOSS_COLUMNS, nothing="nothing was lost")
        if ack:
            await _acknowledge(log, name, [of for of in found if of.unseen], reason, yes=yes)


async def _acknowledge(
    log: EventLog, group: str, unseen: Sequence[GroupLosses], reason: str, *, yes: bool
) -> None:
    if not unseen:
        say("no loss is unseen; nothing changed")
        return
    confirm(
        [
            (f"{group}, partition {of.partition}", f"{of.unseen} lost, unseen", "seen")
            for of in unseen
        ],
        yes=yes,
    )
    what = operation(group, "groups losses --ack", reason)
    for of in unseen:
        await mark_seen(log, group, of, what)
