"""The commands that move a group, remove it, or remove consumers that are gone."""

from collections.abc import Iterable

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.groups.groups import lag_of
from consumers.cli.groups.show import states_of
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import partition_option, reason_option
from consumers.cli.terminal.output import NotFoundError, confirm, yes_option
from consumers.groups.change import GroupActiveError, GroupChange, GroupMovedError
from consumers.groups.details import read_members
from consumers.groups.operations import operation
from consumers.groups.state import COUNTED_MAX, GroupState
from consumers.runtime.group import Group
from consumers.shipped import GROUPS
from events.entry.age import span
from events.entry.entry_id import END, START, EntryId
from events.entry.position import parse_position, parse_span
from events.log.log import EventLog
from events.log.positions import Positions, group_holder, snapshot_holder
from events.server.server import now_of
from events.streams.group_activity import SILENT_MS
from events.streams.lag import count_entries
from events.streams.stream_group import read_groups
from projections.catalogue import READ_MODELS

force_option = click.option("--force", is_flag=True, help="Also while its consumers are at work.")


@click.command("reset")
@click.argument("group")
@click.option("--to", "position", required=True, metavar="POSITION", help="Where it goes on.")
@partition_option
@reason_option
@force_option
@yes_option
@command_of
async def reset_group(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    group: str,
    position: str,
    partition: int | None,
    reason: str,
    force: bool,
    yes: bool,
) -> None:
    """Move GROUP, so that it is given next what lies at POSITION: start, end, an id, a time, -2h.

    Entries from POSITION on are delivered (again), earlier ones are not any more; pending entries
    stay pending. A group whose consumers are at work is not moved without --force, and in
    a partition where it is missing it is not moved at all.

    \b
    Example: routestream groups reset webhook --to -2h --reason "the pager was down"
    """
    async with deployment.open_log() as log:
        to = parse_position(position, await now_of(log.server))
        states = await _movable(log, group, partition)
        if not force:
            await _refuse_active(log, states)
        plan = [await _reset_plan(log, state, to) for state in states]
        if group in READ_MODELS:
            say(
                "its documents stay as they are: what they have folded changes nothing when it is"
                " folded again, and what is passed over is missing in them"
                " (`routestream replay rebuild` makes them anew)"
            )
        confirm(plan, yes=yes)
        what = operation(group, "groups reset", reason)
        for state in states:
            change = GroupChange(log, state.partition, group)
            now_at = await change.reset(to, state.last_delivered, what, force=force)
            if now_at is None:
                raise GroupMovedError(f"group {group!r} is gone from partition {state.partition}")
            say(
                f"partition {state.partition}: {group} will continue after {now_at}; to undo:"
                f" routestream groups reset {group} --partition {state.partition}"
                f" --to {_following(state.last_delivered)}"
            )


async def _movable(log: EventLog, group: str, partition: int | None) -> list[GroupState]:
    """Return the group where it exists; say where it is missing: it returns at its old place."""
    asked = [state for state in await states_of(log, group) if partition in {None, state.partition}]
    existing = [state for state in asked if state.activity != "missing"]
    if not existing:
        raise NotFoundError(f"group {group!r} is not in partition {partition}")
    for state in asked:
        if state not in existing:
            say(f"partition {state.partition}: the group is missing there; it is not moved")
    return existing


def _following(entry_id: EntryId) -> str:
    if entry_id in {START, END}:
        return "start" if entry_id == START else "end"
    return str(entry_id.after())


async def _refuse_active(log: EventLog, states: Iterable[GroupState]) -> None:
    """Refuse before asking for confirmation; the change itself checks once more."""
    for state in states:
        if state.active:
            members = await read_members(log, state.partition, state.group)
            raise GroupActiveError(state.group, [m.name for m in members if m.state == "active"])


async def _reset_plan(log: EventLog, state: GroupState, to: EntryId) -> tuple[str, str, str]:
    """Return a line of the plan: from where to where, and how many entries that concerns."""
    at, partition = state.last_delivered, state.partition
    is_back = to <= at and to < END
    start, end = (str(to), str(at)) if is_back else (f"({at}", f"({to}" if to < END else "+")
    ask, stream = log.server.client.call, log.keys.events(partition)
    count = await count_entries(ask, stream, start, end, COUNTED_MAX)
    size = f"{count}" if count < COUNTED_MAX else f"{COUNTED_MAX} or more"
    change = f"{size} delivered again" if is_back else f"{size} passed over, never to be delivered"
    pending = f", {state.pending} stay pending" if state.pending else ""
    place = "the end" if to == END else "the start" if to == START else f"{to}"
    what = f"{state.group}, partition {partition}"
    return (
        what,
        f"after {at}" if at > START else "at the start",
        f"from {place} on: {change}{pending}",
    )


@click.command("prune")
@click.argument("group", required=False)
@click.option(
    "--idle", metavar="AGE", default="5m", show_default=True, help="Not heard of for so long."
)
@yes_option
@command_of
async def prune_groups(deployment: Deployment, *, group: str | None, idle: str, yes: bool) -> None:
    """Remove the consumers, of GROUP or of all groups, that are gone and have nothing pending.

    A consumer with pending entries stays: another consumer has to claim them first.

    \b
    Example: routestream groups prune route-table --idle 1h
    """
    idle_ms = round(parse_span(idle) * 1_000)
    if idle_ms < SILENT_MS:
        raise click.UsageError(f"--idle {idle}: the least is {SILENT_MS // 1_000}s")
    async with deployment.open_log() as log:
        gone: dict[tuple[str, int], list[str]] = {}
        for name in [group] if group else await _names(log):
            for state in await states_of(log, name):
                found = await _gone(log, state, idle_ms)
                if found:
                    gone[name, state.partition] = found
        if not gone:
            say(f"no consumer is gone for {span(idle_ms / 1_000)}")
            return
        plan = (
            (f"{g}, partition {p}", ", ".join(consumers), "removed")
            for (g, p), consumers in gone.items()
        )
        confirm(plan, yes=yes)
        removed = 0
        for (name, partition), consumers in gone.items():
            await Group(log.server, log.keys, partition, name).prune(idle_ms)
            left = {one.name for one in await read_members(log, partition, name)}
            removed += len(set(consumers) - left)
        say(f"{removed} consumers removed")


async def _names(log: EventLog) -> list[str]:
    found = set()
    for partition in range(log.partitions):
        groups = await read_groups(log.server.client.call, log.keys.events(partition))
        found |= {group.name for group in groups}
    return sorted(found)


async def _gone(log: EventLog, state: GroupState, idle_ms: int) -> list[str]:
    if state.activity == "missing":
        return []
    members = await read_members(log, state.partition, state.group)
    kept = [member for member in members if member.idle_ms >= idle_ms and member.pending]
    for member in kept:
        say(f"{member.name} stays: {member.pending} entries are pending with it")
    return sorted(
        member.name for member in members if member.idle_ms >= idle_ms and not member.pending
    )


@click.command("remove")
@click.argument("group")
@reason_option
@force_option
@yes_option
@command_of
async def remove_group(
    deployment: Deployment, *, group: str, reason: str, force: bool, yes: bool
) -> None:
    """Remove GROUP: it holds nothing back any more, and what it had not ended nobody ends.

    Its dead letters stay. A group whose consumers are at work is not removed without --force, and
    one that routestream ships not even with it: stop its consumers first. The snapshots of
    an earlier version of a projection hold nothing back any more, either.

    \b
    Example: routestream groups remove old-report --reason "the report is no more"
    """
    async with deployment.open_log() as log:
        states = await _removable(log, group)
        if group in GROUPS and any(state.active for state in states):
            raise click.UsageError(
                f"group {group!r} is one that routestream runs, and its consumers are at work:"
                " stop them first"
            )
        if not force:
            await _refuse_active(log, states)
        confirm([_removal_of(state) for state in states], yes=yes)
        what = operation(group, "groups remove", reason)
        for state in states:
            change = GroupChange(log, state.partition, group)
            is_ours = group in GROUPS
            pending = await change.remove(
                what, force=force and not is_ours, with_snapshots=not is_ours
            )
            if pending is not None:
                say(f"partition {state.partition}: {group} removed, {pending} were pending")
            if await log.server.client.call("EXISTS", log.keys.dead(state.partition, group)):
                say(f"its dead letters stay: routestream dead ls {group}")
        if group in GROUPS:
            say(f"`routestream consume {group}` makes it anew")


async def _removable(log: EventLog, group: str) -> list[GroupState]:
    """Return the group in every partition, also if only its position is left."""
    holders = {group_holder(group)} | (set() if group in GROUPS else {snapshot_holder(group)})
    kept = [
        partition
        for partition in range(log.partitions)
        if holders & (await Positions(log.server, log.keys, partition).all()).keys()
    ]
    if kept and group not in await _names(log):
        return [GroupState(group=group, partition=p, activity="missing") for p in kept]
    return await states_of(log, group)


def _removal_of(state: GroupState) -> tuple[str, str, str]:
    what = f"{state.group}, partition {state.partition}"
    if state.activity == "missing":
        return what, "lost, its position kept", "removed"
    before = f"{state.consumers} consumers, {state.pending} pending, {lag_of(state)} not delivered"
    return what, before, "removed; nobody ends these"
