"""The commands that tell why an endpoint is routed as it is, and how it came to that."""

from datetime import datetime
from typing import Any
from uuid import UUID

import click
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of, snapshots_of, source_of
from consumers.cli.endpoints.at_position import as_of_option, endpoint_at, say_left_out
from consumers.cli.endpoints.changes import difference_values, in_words
from consumers.cli.endpoints.mismatches import shown
from consumers.cli.endpoints.table import health_check_in_words
from consumers.cli.terminal.event_summary import address, summary
from consumers.cli.terminal.options import projection_option
from consumers.cli.terminal.output import (
    OutputForm,
    output_option,
    print_rows,
    print_value,
    printable,
    shown_id,
)
from consumers.cli.terminal.table import Column
from consumers.cli.terminal.talk import say
from events.entry.age import age_of
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_between, time_of
from events.entry.recorded import RecordedEvent
from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.protocol import readable
from events.server.server import now_of
from projections.catalogue import PROJECTIONS
from projections.errors import NoLiveGenerationError
from projections.projection import Projection
from projections.replay.folding import Folding
from projections.replay.registers import BOOKKEEPING, Register, registers_of
from projections.replay.source import Source, extent_of, find_entry
from projections.replay.trace import Step, trace
from projections.route_table.endpoint import Endpoint
from projections.route_table.lookup import find_endpoint
from projections.route_table.route import Route
from projections.route_table.traffic import address_since, ratio_since, traffic_of
from projections.snapshots.snapshot_store import only

_WHY_COLUMNS = (
    Column("OF"),
    Column("WHAT"),
    Column("IS", folds=True),
    Column("SINCE"),
    Column("BY"),
    Column("EVENT", folds=True),
    Column("SOURCE", is_below=True),
)
_TRACE_COLUMNS = (
    Column("TIME"),
    Column("ENTRY"),
    Column("EVENT"),
    Column("CHANGE", folds=True),
    Column("SOURCE", is_below=True),
)
_SHOWN_OF_ROUTE = ("status", "health", "traffic_ratio", "kernel_host", "started")


@click.command()
@click.argument("endpoint")
@as_of_option
@output_option
@command_of
async def why(
    deployment: Deployment, *, endpoint: str, position: str | None, output: OutputForm
) -> None:
    """Show the chain of events behind what is routed now.

    Each part of the endpoint's state with its value, the event that last set it, and who recorded
    that; first of each route whether it gets traffic, and by which event.

    \b
    Example: routestream endpoints why chat
    """
    async with deployment.open_log() as log:
        _, state, now = await endpoint_at(deployment, log, endpoint, position)
        partition = partition_of(state.endpoint_id, log.partitions)
        source = source_of(deployment, log)
        links = _links_in_short(state) if output.is_table else _links(state)
        stamps = {link.at for link in links if link.at > START}
        events = {at: await _event_at(source, partition, at) for at in stamps}
        wide = output.is_wide
        rows = (_why_row(link, events.get(link.at), now, wide=wide) for link in links)
        values = (_why_value(link, events.get(link.at)) for link in links)
        print_rows(output, _WHY_COLUMNS, rows, values, fields=_WHY_FIELDS)


def _links(state: Endpoint) -> list[Register]:
    """Return what is told, of each route its traffic first."""
    traffic = traffic_of(state)
    links: list[Register] = []
    for register in registers_of(state):
        if register.name in BOOKKEEPING:
            continue
        if register.name == "present" and register.route_id in traffic:
            gets = traffic[register.route_id]
            told = f"no: {gets.why_not}" if gets.why_not else f"{gets.share:.0%}"
            links.append(Register(register.route_id, "traffic", told, gets.decided_at))
        links.append(register)
    return links


def _links_in_short(state: Endpoint) -> list[Register]:
    """Return what a person wants to know: a register is a whole address, or a health's reason."""
    links = [
        Register(None, "created", state.name or "never", state.created_at),
        Register(
            None,
            "health check",
            health_check_in_words(state.health_check),
            state.health_check_at,
        ),
    ]
    if state.is_destroyed:
        links.append(Register(None, "destroyed", "yes", state.destroyed_at))
    traffic = traffic_of(state)
    for route in state.present_routes:
        gets, of = traffic[route.route_id], route.route_id
        place = address(route.kernel_host, route.kernel_port) or "none"
        health_at = route.started_at if route.health == "not_checked" else route.health_at
        links += (
            Register(
                of,
                "traffic",
                f"no: {gets.why_not}" if gets.why_not else f"{gets.share:.0%}",
                gets.decided_at,
            ),
            Register(of, "address", place, address_since(route)),
            Register(of, "status", ": ".join((route.status, *route.errors)), route.status_since),
            Register(of, "weight", f"{route.traffic_ratio:g}", ratio_since(route)),
            Register(of, "health", _health(route), health_at),
        )
    return links


def _health(route: Route) -> str:
    said = route.health.replace("_", " ")
    return said if route.health_reason is None else f"{said}: {route.health_reason}"


async def _event_at(log: Source, partition: int, at: EntryId) -> RecordedEvent | None:
    entry = await find_entry(log, partition, at)
    return None if entry is None else readable(entry)


def _why_row(
    link: Register, event: RecordedEvent | None, now: datetime, *, wide: bool
) -> tuple[object, ...]:
    if event is not None:
        told = f"{event.event.wire_name} {summary(event.event, wide=wide)}"
    else:
        told = "no longer in the log" if link.at > START else ""
    is_traffic = link.name == "traffic"
    value = Text(shown(link), "bold" if is_traffic else "")
    return (
        "endpoint" if link.route_id is None else f"route {shown_id(link.route_id, wide=wide)}",
        link.name.replace("_", " "),
        value,
        age_of(link.at, now),
        link.at if link.at > START else None,
        printable(told),
        None if event is None else event.source,
    )


_WHY_FIELDS = ("register", "value", "by", "event", "event_id", "source")


def _why_value(link: Register, event: RecordedEvent | None) -> dict[str, object]:
    return {
        "register": link.path,
        "value": link.value,
        "by": str(link.at) if link.at > START else None,
        "event": None if event is None else event.event.wire_name,
        "event_id": None if event is None else event.event_id,
        "source": None if event is None else event.source,
    }


@click.command("trace")
@click.argument("endpoint")
@projection_option
@click.option("--from", "since", metavar="POSITION", help="Leave out what was before.")
@click.option("--to", "until", metavar="POSITION", help="Leave out what came later.")
@output_option
@command_of
async def trace_events(
    deployment: Deployment,
    *,
    endpoint: str,
    projection: str,
    since: str | None,
    until: str | None,
    output: OutputForm,
) -> None:
    """Show all events of one endpoint, in their order, with the change that each made.

    ENDPOINT is its id, the beginning of it, or its name. What a change changes is known only by all
    that came before: with --from the log is read from the newest snapshot before that on, else from
    its start.

    \b
    Example: routestream events trace chat --from -2h
    """
    of = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        now = await now_of(log.server)
        first, last = parse_between(since, until, now)
        after = first.before()
        endpoint_id = await _named(deployment, log, endpoint)
        begin = await _begin(deployment, log, of, endpoint_id, after)
        steps = trace(source_of(deployment, log), begin, endpoint_id, after, last)
        kept = []
        async for step in steps:
            if output.is_lines:
                print_value(output, _step_value(step, endpoint_id), _STEP_FIELDS)
            else:
                kept.append(step)
        rows = (_step_row(step, wide=output.is_wide) for step in kept)
        values = (_step_value(step, endpoint_id) for step in kept)
        within = "" if since is until is None else " in that range"
        nothing = f"no events of that endpoint{within}"
        print_rows(output, _TRACE_COLUMNS, rows, values, fields=_STEP_FIELDS, nothing=nothing)


async def _named(deployment: Deployment, log: EventLog, endpoint: str) -> UUID:
    """Return its id; where no read model is live, the log itself knows the names."""
    try:
        return await find_endpoint(log, endpoint, say_left_out)
    except NoLiveGenerationError:
        _, state, _ = await endpoint_at(deployment, log, endpoint, "end")
        return state.endpoint_id


async def _begin(
    deployment: Deployment,
    log: EventLog,
    of: Projection[Any],
    endpoint_id: UUID,
    after: EntryId,
) -> Folding[Any]:
    """Return what to begin with, and say what nobody knows any more."""
    partition = partition_of(endpoint_id, log.partitions)
    begin: Folding[Any] = Folding(of, partition)
    if after > START:
        snapshots = snapshots_of(deployment, log, partition)
        begin = await snapshots.newest(of, after, only(endpoint_id))
    extent = await extent_of(source_of(deployment, log), partition)
    if extent.missing_until(begin.position, begin.appended) is not None:
        say(
            f"what happened before {extent.first or 'now'} was trimmed and is in no archive: it is"
            " not shown, and what came next is shown as if nothing had been before"
        )
    return begin


def _step_row(step: Step, *, wide: bool) -> tuple[object, ...]:
    recorded = step.recorded
    changes = "; ".join(words for words, _ in in_words(step.differences, wide=wide))
    if step.problem is not None:
        changes = f"not folded: {step.problem}"
    return (
        f"{time_of(recorded.entry_id):%Y-%m-%d %H:%M:%S.%f}"[:-3],
        recorded.entry_id,
        recorded.event.wire_name,
        printable(changes or "nothing"),
        recorded.source,
    )


_STEP_FIELDS = (
    *("entry_id", "time", "endpoint_id", "name"),
    *("event_id", "source", "changes", "problem"),
)


def _step_value(step: Step, endpoint_id: UUID) -> dict[str, object]:
    recorded = step.recorded
    return {
        "entry_id": str(recorded.entry_id),
        "time": time_of(recorded.entry_id).isoformat(),
        "endpoint_id": str(endpoint_id),
        "name": recorded.event.wire_name,
        "event_id": recorded.event_id,
        "source": recorded.source,
        "changes": difference_values(step.differences),
        "problem": step.problem,
    }
