"""The health table: the history of routes' health as a person or a program reads it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from consumers.cli.endpoints.table import HEALTH_COLOURS
from consumers.cli.health.strip import Cell, cells_of, strip, together
from consumers.cli.terminal.event_summary import address
from consumers.cli.terminal.output import shown_id
from consumers.cli.terminal.table import Column
from events.entry.age import span
from events.entry.entry_id import START
from projections.health_state.history import Condition, Interval, RouteHistory, Span
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route

CELLS_NARROW, CELLS_WIDE = 24, 60
"""Blocks of a strip, on a terminal with little room and otherwise."""

ENDPOINT_HEALTH_COLUMNS = (
    Column("ENDPOINT"),
    Column("NAME", folds=True),
    Column("HEALTHY", is_number=True),
    Column("CHANGES", is_number=True),
    Column("NOW"),
    Column("HISTORY"),
)
ROUTE_HEALTH_COLUMNS = (
    Column("ROUTE"),
    Column("HISTORY"),
    Column("HEALTHY", is_number=True),
    Column("CHANGES", is_number=True),
    Column("NOW"),
    Column("SINCE"),
    Column("ADDRESS", is_below=True),
    Column("BY", is_below=True),
    Column("REASON", is_below=True),
)
_COLOURS: dict[Condition, str] = {
    **{one: colour for one, colour in HEALTH_COLOURS.items() if one != "degraded"},
    "ended": "dim",
    "absent": "dim",
    "unknown": "dim",
}


def cells_shown(*, narrow: bool) -> int:
    """Return how many blocks there is room for."""
    return CELLS_NARROW if narrow else CELLS_WIDE


def healthy_share(histories: Sequence[RouteHistory]) -> float | None:
    """Return the mean share of the time in which these routes were healthy, None for none."""
    shares = [one.healthy_share for one in histories if one.healthy_share is not None]
    return sum(shares) / len(shares) if shares else None


def per_cent(share: float | None) -> str:
    """Return a share as a person reads it; what is not all is never shown as all."""
    if share is None:
        return ""
    tenths = int(share * 1_000)
    return "100%" if share >= 1 else f"{tenths / 10:g}%"


def endpoint_health_row(
    endpoint: Endpoint,
    histories: Sequence[RouteHistory],
    blocks: Sequence[Cell],
    *,
    narrow: bool,
    unicode: bool,
) -> tuple[object, ...]:
    """Return the cells of `ENDPOINT_HEALTH_COLUMNS`; *blocks* is what `endpoint_cells` made."""
    now = [one.intervals[-1].condition for one in histories]
    here = [one for one in now if one not in {"absent", "ended"}]
    healthy = here.count("healthy")
    if endpoint.health_check is None:
        state = Text("no health check", "dim")
    else:
        state = Text(f"{healthy}/{len(here)} healthy", "green" if healthy == len(here) else "red")
    return (
        shown_id(endpoint.endpoint_id, wide=not narrow),
        endpoint.name,
        per_cent(healthy_share(histories)),
        sum(one.changes for one in histories),
        state,
        strip(blocks, unicode=unicode),
    )


def endpoint_cells(histories: Sequence[RouteHistory], window: Span, *, narrow: bool) -> list[Cell]:
    """Return one strip for all routes of an endpoint."""
    count = cells_shown(narrow=narrow)
    return together([cells_of(one.intervals, window, count) for one in histories])


def route_health_rows(
    routes: dict[Any, Route],
    histories: Sequence[RouteHistory],
    window: Span,
    *,
    narrow: bool,
    unicode: bool,
) -> Iterator[tuple[object, ...]]:
    """Yield the cells of `ROUTE_HEALTH_COLUMNS`."""
    for one in histories:
        route = routes.get(one.route_id)
        now = one.intervals[-1]
        since = "before" if now.by is None else span((window.end_ms - now.span.start_ms) / 1_000)
        yield (
            shown_id(one.route_id, wide=not narrow),
            strip(cells_of(one.intervals, window, cells_shown(narrow=narrow)), unicode=unicode),
            per_cent(one.healthy_share),
            one.changes,
            Text(now.condition.replace("_", " "), _COLOURS[now.condition]),
            _since(route, now, window) or since,
            None if route is None else address(route.kernel_host, route.kernel_port),
            now.by,
            now.reason or (None if route is None else _reason(route, now)),
        )


def _since(route: Route | None, now: Interval, window: Span) -> str | None:
    """Return how long it is so, also where that began before the window."""
    if now.by is not None or route is None or now.condition != route.health:
        return None
    at = route.started_at if route.health == "not_checked" else route.health_at
    return span((window.end_ms - at.ms) / 1_000) if at > START else None


def _reason(route: Route, now: Interval) -> str | None:
    return route.health_reason if now.condition == route.health else None


def axis(window: Span) -> str:
    """Say from when to when the strips go."""
    start, end = (_clock(one) for one in (window.start_ms, window.end_ms))
    length = span((window.end_ms - window.start_ms) / 1_000)
    return f"from {start} to {end:%H:%M:%S} UTC, {length}"


def _clock(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1_000, UTC).replace(tzinfo=None)


HEALTH_FIELDS = ("endpoint_id", "name", "start", "end", "is_whole", "healthy_share", "routes")


def as_json(
    endpoint: Endpoint, histories: Sequence[RouteHistory], window: Span, *, is_whole: bool
) -> dict[str, Any]:
    """Return the `HEALTH_FIELDS`; times are RFC 3339, shares 0 to 1, null where not known."""
    return {
        "endpoint_id": str(endpoint.endpoint_id),
        "name": endpoint.name,
        "start": _time(window.start_ms),
        "end": _time(window.end_ms),
        "is_whole": is_whole,
        "healthy_share": healthy_share(histories),
        "routes": [_route(endpoint.routes.get(one.route_id), one) for one in histories],
    }


def _route(route: Route | None, history: RouteHistory) -> dict[str, Any]:
    return {
        "route_id": str(history.route_id),
        "address": None if route is None else address(route.kernel_host, route.kernel_port),
        "health": history.intervals[-1].condition,
        "healthy_share": history.healthy_share,
        "changes": history.changes,
        "intervals": [
            {
                "health": one.condition,
                "start": _time(one.span.start_ms),
                "end": _time(one.span.end_ms),
                "by": None if one.by is None else str(one.by),
                "reason": one.reason,
            }
            for one in history.intervals
        ],
    }


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds")
