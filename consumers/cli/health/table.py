"""Rows and columns of the health of endpoints and routes, for tables and programs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from rich.text import Text

from consumers.cli.endpoints.table import HEALTH_COLOURS, last_probe_text, looked_at
from consumers.cli.health.health_strip import Cell, cells_of, strip, together
from consumers.cli.terminal.event_summary import address
from consumers.cli.terminal.output import shown_id
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from events.entry.age import span
from events.entry.entry_id import START, EntryId
from projections.health_state.history import Condition, RouteHistory, Span
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge, LastProbe, RouteKey
from projections.route_table.route import Route

CELLS_NARROW, CELLS_WIDE = 24, 60
"""Blocks of a strip, on a terminal with little room and otherwise."""

_COLOURS: dict[Condition, str] = {
    **{one: colour for one, colour in HEALTH_COLOURS.items() if one != "degraded"},
    "ended": "dim",
    "absent": "dim",
    "unknown": "dim",
}


def cells_shown(*, narrow: bool) -> int:
    """Return the number of blocks of a strip."""
    return CELLS_NARROW if narrow else CELLS_WIDE


def healthy_share(histories: Sequence[RouteHistory]) -> float | None:
    """Return the mean share of the time in which these routes were healthy; None if unknown."""
    shares = [one.healthy_share for one in histories if one.healthy_share is not None]
    return sum(shares) / len(shares) if shares else None


def per_cent(share: float | None) -> str:
    """Return a share as a person reads it; less than all is never shown as 100%."""
    if share is None:
        return ""
    tenths = int(share * 1_000)
    return "100%" if share >= 1 else f"{tenths / 10:g}%"


class IntervalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One interval in which a route's health did not change."""

    health: Condition
    start: str
    end: str
    by: EntryId | None
    reason: str | None


class RouteHealthRow(msgspec.Struct, frozen=True, kw_only=True):
    """The health of one route within a window."""

    route_id: UUID
    address: str | None
    health: Condition
    checked_at: str | None
    stale: bool | None
    flapping: bool
    last_probe: LastProbe | None
    healthy_share: float | None
    changes: int
    intervals: list[IntervalRow]
    history: ForTable[RouteHistory]
    route: ForTable[Route | None]


class HealthRow(msgspec.Struct, frozen=True, kw_only=True):
    """The health of an endpoint; times are RFC 3339, shares 0 to 1, null if unknown."""

    endpoint_id: UUID
    name: str | None
    start: str
    end: str
    is_whole: bool
    healthy_share: float | None
    routes: list[RouteHealthRow]
    is_checked: ForTable[bool]
    cells: ForTable[Sequence[Cell]]


def health_row(
    endpoint: Endpoint,
    histories: Sequence[RouteHistory],
    window: Span,
    *,
    is_whole: bool,
    ages: Mapping[RouteKey, HealthAge],
    cells: Sequence[Cell] = (),
) -> HealthRow:
    """Return the row of an endpoint.

    Args:
        endpoint: Its state.
        histories: The history of each of its routes.
        window: The time that they are about.
        is_whole: Whether the window is all that was asked for.
        ages: How old the health of its routes is.
        cells: Those of `endpoint_cells`, for a table.
    """
    return HealthRow(
        endpoint_id=endpoint.endpoint_id,
        name=endpoint.name,
        start=_time(window.start_ms),
        end=_time(window.end_ms),
        is_whole=is_whole,
        healthy_share=healthy_share(histories),
        routes=[
            _route_row(
                endpoint.routes.get(one.route_id),
                one,
                ages.get((endpoint.endpoint_id, one.route_id)),
            )
            for one in histories
        ],
        is_checked=endpoint.health_check is not None,
        cells=cells,
    )


def _route_row(route: Route | None, history: RouteHistory, age: HealthAge | None) -> RouteHealthRow:
    return RouteHealthRow(
        route_id=history.route_id,
        address=None if route is None else address(route.kernel_host, route.kernel_port),
        health=history.intervals[-1].condition,
        checked_at=None if age is None else looked_at(age),
        stale=None if age is None else age.is_stale,
        flapping=route is not None and route.flapping,
        last_probe=None if age is None else age.last_probe,
        healthy_share=history.healthy_share,
        changes=history.changes,
        intervals=[
            IntervalRow(
                health=one.condition,
                start=_time(one.span.start_ms),
                end=_time(one.span.end_ms),
                by=one.by,
                reason=one.reason,
            )
            for one in history.intervals
        ],
        history=history,
        route=route,
    )


def endpoint_health_columns(*, narrow: bool, unicode: bool) -> Columns[HealthRow]:
    """Return the columns of a list of endpoints."""
    return (
        Column("ENDPOINT", lambda row: shown_id(row.endpoint_id, wide=not narrow)),
        Column("NAME", lambda row: row.name, folds=True),
        Column("HEALTHY", lambda row: per_cent(row.healthy_share), is_number=True),
        Column("CHANGES", lambda row: sum(one.changes for one in row.routes), is_number=True),
        Column("NOW", _now),
        Column("HISTORY", lambda row: strip(row.cells, unicode=unicode)),
    )


def _now(row: HealthRow) -> Text:
    if not row.is_checked:
        return Text("no health check", "dim")
    here = [one.health for one in row.routes if one.health not in {"absent", "ended"}]
    healthy, stale = here.count("healthy"), sum(bool(one.stale) for one in row.routes)
    colour = "red" if healthy < len(here) else "yellow" if stale else "green"
    return Text(f"{healthy}/{len(here)} healthy{f', {stale} stale' if stale else ''}", colour)


def endpoint_cells(histories: Sequence[RouteHistory], window: Span, *, narrow: bool) -> list[Cell]:
    """Return one strip for all routes of an endpoint."""
    count = cells_shown(narrow=narrow)
    return together([cells_of(one.intervals, window, count) for one in histories])


def route_health_columns(
    row: HealthRow, window: Span, *, narrow: bool, unicode: bool
) -> Columns[RouteHealthRow]:
    """Return the columns of the routes of *row*; last probes have one where any of them failed."""
    count = cells_shown(narrow=narrow)

    def history(row: RouteHealthRow) -> Text:
        return strip(cells_of(row.history.intervals, window, count), unicode=unicode)

    probe_failed = any(one.last_probe and one.last_probe.cause for one in row.routes)
    probe: Column[RouteHealthRow] = Column(
        "PROBE", lambda row: last_probe_text(row.last_probe), is_below=True
    )
    checked: Column[RouteHealthRow] = Column("CHECKED", lambda row: _checked(row, window))
    return (
        Column("ROUTE", lambda row: shown_id(row.route_id, wide=not narrow)),
        Column("HISTORY", history),
        Column("HEALTHY", lambda row: per_cent(row.healthy_share), is_number=True),
        Column("CHANGES", lambda row: row.changes, is_number=True),
        Column("NOW", _condition),
        Column("SINCE", lambda row: _since(row, window)),
        *((checked,) if row.is_checked else ()),
        *((probe,) if probe_failed else ()),
        Column("ADDRESS", lambda row: row.address, is_below=True),
        Column("BY", lambda row: row.intervals[-1].by, is_below=True),
        Column("REASON", _reason, is_below=True),
    )


def _condition(row: RouteHealthRow) -> Text:
    words = row.health.replace("_", " ")
    if row.flapping:
        return Text(f"{words}, flapping", "red")
    return Text(f"{words}, stale", "yellow") if row.stale else Text(words, _COLOURS[row.health])


def _checked(row: RouteHealthRow, window: Span) -> str | None:
    """Return how long ago its health was last looked at."""
    if row.checked_at is None:
        return "never" if row.stale else None
    return span(window.end_ms / 1_000 - datetime.fromisoformat(row.checked_at).timestamp())


def _since(row: RouteHealthRow, window: Span) -> str | None:
    """Return how long the present condition lasts, also if it began before the window."""
    now, route = row.history.intervals[-1], row.route
    if now.by is not None:
        return span((window.end_ms - now.span.start_ms) / 1_000)
    if route is None or now.condition != route.health:
        return "before"
    at = route.started_at if route.health == "not_checked" else route.health_at
    return span((window.end_ms - at.ms) / 1_000) if at > START else "before"


def _reason(row: RouteHealthRow) -> str | None:
    if row.intervals[-1].reason or row.route is None:
        return row.intervals[-1].reason
    return row.route.health_reason if row.health == row.route.health else None


def axis(window: Span) -> str:
    """Return the start, end and length of the window in words."""
    start, end = (_clock(one) for one in (window.start_ms, window.end_ms))
    length = span((window.end_ms - window.start_ms) / 1_000)
    return f"from {start}Z to {end:%H:%M:%S}Z, {length}"


def _clock(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1_000, UTC).replace(tzinfo=None)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds")
