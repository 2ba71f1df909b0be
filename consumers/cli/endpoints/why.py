"""The command that shows why an endpoint is routed as it is."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
import msgspec
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of, source_of
from consumers.cli.endpoints.at_position import as_of_option, endpoint_at
from consumers.cli.endpoints.changed_fields import split_in_words, switch_in_words
from consumers.cli.endpoints.mismatches import shown
from consumers.cli.endpoints.table import health_check_in_words
from consumers.cli.terminal.event_summary import address, because, labels_text, summary
from consumers.cli.terminal.output import (
    OutputForm,
    output_option,
    print_rows,
    printable,
    shown_id,
    watch_option,
)
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from events.entry.age import age_of
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from events.log.keys import partition_of
from events.log.protocol import readable
from projections.replay.partition_history import Source, find_entry
from projections.replay.registers import BOOKKEEPING, Register, registers_of
from projections.route_table.endpoint import Endpoint
from projections.route_table.phase import phase_of
from projections.route_table.route import Route
from projections.route_table.traffic import (
    Traffic,
    address_since,
    labels_since,
    ratio_since,
    traffic_of,
)


class WhyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an endpoint's state, and the event that last set it."""

    register: str
    value: Any
    by: EntryId | None
    event: str | None
    event_id: str | None
    source: str | None
    link: ForTable[Register]
    recorded: ForTable[RecordedEvent | None]


@click.command()
@click.argument("endpoint")
@as_of_option
@output_option
@watch_option
@command_of
async def why(
    deployment: Deployment, *, endpoint: str, position: str | None, output: OutputForm
) -> None:
    """Show the chain of events behind what is routed now.

    It shows each part of the endpoint's state with its value, the event that last set it, and the
    source of that event. For each route it first shows whether it gets traffic, and which event
    decided that.

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
        rows = [_why_row(link, events.get(link.at)) for link in links]
        print_rows(output, WhyRow, rows, _why_columns(now, wide=output.is_wide))


def _links(state: Endpoint) -> list[Register]:
    """Return the registers to show; for each route its traffic comes first."""
    traffic = traffic_of(state)
    links: list[Register] = []
    for register in registers_of(state):
        if register.name in BOOKKEEPING:
            continue
        if register.name == "present" and register.route_id in traffic:
            gets = traffic[register.route_id]
            share = f"no: {gets.why_not}" if gets.why_not else f"{gets.share:.0%}"
            links.append(Register(register.route_id, "traffic", share, gets.decided_at))
        links.append(register)
    return links


def _links_in_short(state: Endpoint) -> list[Register]:
    """Return fewer registers for a person: one holds a whole address, or health and reason."""
    links = [
        Register(None, "created", state.name or "never", state.created_at),
        Register(
            None,
            "health check",
            health_check_in_words(state.health_check),
            state.health_check_at,
        ),
    ]
    if state.traffic_at > START:
        links.append(Register(None, "switched", switch_in_words(state), state.traffic_at))
    if state.split_at > START:
        links.append(Register(None, "split", split_in_words(state), state.split_at))
    if state.replicas_at > START:
        links.append(Register(None, "replicas", str(state.replicas), state.replicas_at))
    if state.failures:
        links.append(Register(None, "retries", str(len(state.failures)), state.failures[-1]))
    if state.is_destroyed:
        links.append(Register(None, "destroyed", "yes", state.destroyed_at))
    traffic = traffic_of(state)
    for route in state.present_routes:
        links += _route_links(state, route, traffic[route.route_id])
    return links


def _route_links(state: Endpoint, route: Route, gets: Traffic) -> Iterator[Register]:
    route_id = route.route_id
    share = f"no: {gets.why_not}" if gets.why_not else f"{gets.share:.0%}"
    place = address(route.kernel_host, route.kernel_port) or "none"
    phase = phase_of(state, route).replace("_", " ")
    reasons = filter(None, (phase, route.status_reason, *route.errors))
    since = max(route.status_since, route.drained_at if route.is_drained else START)
    health_at = route.started_at if route.health == "not_checked" else route.health_at
    yield Register(route_id, "traffic", share, gets.decided_at)
    yield Register(route_id, "address", place, address_since(route))
    yield Register(route_id, "phase", ": ".join(reasons), since)
    yield Register(route_id, "weight", f"{route.traffic_ratio:g}", ratio_since(route))
    yield Register(route_id, "health", _health(route), health_at)
    if route.flapping_at > START:
        flapping = f"{'yes' if route.flapping else 'no'}{because(route.flapping_reason)}"
        yield Register(route_id, "flapping", flapping, route.flapping_at)
    if route.labels:
        yield Register(route_id, "labels", labels_text(route.labels), labels_since(route))
    if route.eviction_at > route.health_at:
        yield Register(route_id, "eviction proposed", route.eviction_reason, route.eviction_at)
    if route.traffic_at > START:
        yield Register(route_id, "switched", switch_in_words(route), route.traffic_at)


def _health(route: Route) -> str:
    health = route.health.replace("_", " ")
    return health if route.health_reason is None else f"{health}: {route.health_reason}"


async def _event_at(log: Source, partition: int, at: EntryId) -> RecordedEvent | None:
    entry = await find_entry(log, partition, at)
    return None if entry is None else readable(entry)


def _why_row(link: Register, event: RecordedEvent | None) -> WhyRow:
    return WhyRow(
        register=link.path,
        value=link.value,
        by=link.at if link.at > START else None,
        event=None if event is None else event.event.wire_name,
        event_id=None if event is None else event.event_id,
        source=None if event is None else event.source,
        link=link,
        recorded=event,
    )


def _why_columns(now: datetime, *, wide: bool) -> Columns[WhyRow]:
    return (
        Column("OF", lambda row: _owner(row.link, wide=wide)),
        Column("WHAT", lambda row: row.link.name.replace("_", " ")),
        Column("IS", _value, folds=True),
        Column("SINCE", lambda row: age_of(row.link.at, now)),
        Column("BY", lambda row: row.by),
        Column("EVENT", lambda row: _event(row, wide=wide), folds=True),
        Column("SOURCE", lambda row: row.source, is_below=True),
    )


def _owner(link: Register, *, wide: bool) -> str:
    return "endpoint" if link.route_id is None else f"route {shown_id(link.route_id, wide=wide)}"


def _value(row: WhyRow) -> Text:
    return Text(shown(row.link), "bold" if row.link.name == "traffic" else "")


def _event(row: WhyRow, *, wide: bool) -> str:
    if row.recorded is None:
        return "" if row.by is None else "no longer in the log"
    event = row.recorded.event
    return printable(f"{event.wire_name} {summary(event, wide=wide)}")
