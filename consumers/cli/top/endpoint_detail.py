"""Reads the detail of an endpoint: its routes, their health history, and its last events."""

from uuid import UUID

import msgspec
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from consumers.cli.endpoints.table import endpoint_pairs, health_text, notes, stale_note
from consumers.cli.events.entry_filter import EntryFilter
from consumers.cli.health.health_strip import cells_of, strip
from consumers.cli.health.table import axis, per_cent
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.event_summary import address
from consumers.cli.terminal.output import short_id
from consumers.cli.terminal.table import Column, Columns, as_text, table_of
from events.entry.age import age_of
from events.entry.entry_id import EntryId
from events.entry.position import time_of
from events.entry.recorded import Entry
from events.history.history import History
from events.history.tail import read_tail
from events.log.keys import partition_of
from events.server.server import now_of
from projections.health_state.health_window import read_health
from projections.health_state.history import RouteHistory, Span
from projections.health_state.probe_times import read_health_ages
from projections.read_model.knowledge import read_knowledge
from projections.route_table.health_age import HealthAge, withdrawn
from projections.route_table.lookup import read_endpoint
from projections.route_table.phase import Phase, phase_of
from projections.route_table.route import Route
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.traffic import Traffic, traffic_of

HISTORY_S = 3_600
"""Seconds of health history that the strips show."""

EVENTS_SHOWN = 15

_CELLS_NARROW, _CELLS_WIDE = 20, 60
_WIDE_FROM = 110


class _Route(msgspec.Struct, frozen=True):
    """One route, its traffic, and its health history within the window."""

    route: Route
    phase: Phase
    gets: Traffic
    history: RouteHistory | None
    age: HealthAge | None


async def endpoint_detail(history: History, endpoint_id: UUID, room: int) -> RenderableType:
    """Read the detail of the live endpoint, for *room* cells of width."""
    log = history.log
    revision, endpoint = await read_endpoint(log, str(endpoint_id))
    now = await now_of(log.server)
    partition = partition_of(endpoint_id, log.partitions)
    call = log.server.client.call
    known = await read_knowledge(call, log.keys, ROUTE_TABLE.read_model, partition)
    now_ms = int(now.timestamp() * 1_000)
    health = await read_health(history, endpoint, EntryId(now_ms - HISTORY_S * 1_000, 0), now_ms)
    wants = EntryFilter(endpoint=str(endpoint_id)).wants
    tail = await read_tail(history, [partition], EVENTS_SHOWN, wants)
    pairs = [*endpoint_pairs(revision, endpoint, now), ("knowledge", known.in_words(now))]
    grid = pairs_grid(pairs)
    histories = {one.route_id: one for one in health.routes}
    ages = await read_health_ages(log, [endpoint], now)
    traffic = traffic_of(endpoint, withdrawn(endpoint, ages))
    rows = [
        _Route(
            one,
            phase_of(endpoint, one),
            traffic[one.route_id],
            histories.get(one.route_id),
            ages.get((endpoint_id, one.route_id)),
        )
        for one in endpoint.present_routes
    ]
    stale = stale_note(ages.values())
    said = [*notes(endpoint), *([stale] if stale else [])]
    remarks = [as_text(one, "red" if _is_bad(one) else "dim") for one in said]
    return Lines(
        grid,
        Text(f"\nroutes, their health {axis(health.window)}", "bold"),
        table_of(_columns(health.window, room), rows, room) if rows else Text("none", "dim"),
        *remarks,
        Text("\nlast events", "bold"),
        *_lines(tail.entries[::-1], room),
    )


def _is_bad(note: str) -> bool:
    return any(word in note for word in ("unhealthy", "failed", "stale"))


def pairs_grid(pairs: list[tuple[str, object | None]]) -> Table:
    """Return each name with its value, one a line; values of None are left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(as_text(name), as_text(value))
    return grid


def _columns(window: Span, room: int) -> Columns[_Route]:
    now, count = time_of(EntryId(window.end_ms, 0)), _cells(room)
    return (
        Column("ROUTE", lambda row: short_id(row.route.route_id)),
        Column(
            "ADDRESS",
            lambda row: address(row.route.kernel_host, row.route.kernel_port) or "none",
            is_below=True,
        ),
        Column("PHASE", lambda row: row.phase.replace("_", " ")),
        Column("HEALTH", _health),
        Column("SINCE", lambda row: age_of(max(row.route.health_at, row.route.started_at), now)),
        Column("WEIGHT", _weight, is_number=True),
        Column("HISTORY", lambda row: _strip(row.history, window, count)),
        Column(
            "HEALTHY",
            lambda row: row.history and per_cent(row.history.healthy_share),
            is_number=True,
            is_below=True,
        ),
        Column("TRAFFIC", _traffic, is_below=True),
    )


def _health(row: _Route) -> Text:
    is_stale = row.age is not None and row.age.is_stale
    return health_text(row.route.health, is_stale=is_stale, flapping=row.route.flapping)


def _weight(row: _Route) -> str:
    return f"{row.gets.share:.0%}" if row.gets.why_not is None else f"({row.route.traffic_ratio:g})"


def _strip(history: RouteHistory | None, window: Span, count: int) -> Text:
    cells = [] if history is None else cells_of(history.intervals, window, count)
    return strip(cells, unicode=True)


def _traffic(row: _Route) -> Text:
    if row.gets.why_not is None:
        return Text("gets traffic", "green")
    return as_text(f"none: {row.gets.why_not}", "red")


def _cells(room: int) -> int:
    return _CELLS_WIDE if room >= _WIDE_FROM else _CELLS_NARROW


def _lines(entries: list[Entry], room: int) -> list[RenderableType]:
    if not entries:
        return [Text("none in the part of the log that was looked through", "dim")]
    return [Line.of(entry).as_grid(narrow=room < _WIDE_FROM) for entry in entries]
