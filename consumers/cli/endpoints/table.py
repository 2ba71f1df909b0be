"""The endpoint table: endpoints and their routes as a person reads them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from rich.text import Text

from consumers.cli.terminal.event_summary import address
from consumers.cli.terminal.output import printable, shown_id
from consumers.cli.terminal.table import Column
from events.catalogue.health_check import HealthCheck
from events.entry.age import age_of
from events.entry.entry_id import START, EntryId
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Health, Route
from projections.route_table.traffic import Traffic, traffic_of

HEALTH_COLOURS: dict[Health, str] = {
    "healthy": "green",
    "unhealthy": "red",
    "degraded": "yellow",
    "not_checked": "dim",
}
SHARES_MAX = 3
"""Different shares of traffic that are shown of one endpoint."""

ENDPOINT_COLUMNS = (
    Column("ENDPOINT"),
    Column("NAME", folds=True),
    Column("MODEL", folds=True),
    Column("ROUTES"),
    Column("HEALTH", folds=True),
    Column("TRAFFIC", folds=True),
    Column("CHANGED"),
)
ROUTE_COLUMNS = (
    Column("ROUTE"),
    Column("ADDRESS", folds=True),
    Column("STATUS"),
    Column("SINCE"),
    Column("HEALTH"),
    Column("SINCE"),
    Column("WEIGHT", is_number=True),
    Column("TRAFFIC", is_below=True),
    Column("BY", is_below=True),
)


def endpoint_row(endpoint: Endpoint, now: datetime, *, narrow: bool) -> tuple[object, ...]:
    """Return the cells of `ENDPOINT_COLUMNS`; a *narrow* row has the beginning of the id."""
    shown = shown_id(endpoint.endpoint_id, wide=not narrow)
    changed = age_of(endpoint.version, now)
    if endpoint.is_destroyed:
        routes, health, shown_shares = "destroyed", "", ""
    else:
        traffic = traffic_of(endpoint)
        getting = [one.share for one in traffic.values() if one.why_not is None]
        routes = f"{len(getting)}/{len(traffic)}"
        health, shown_shares = healths(endpoint), shares(getting)
    return (shown, endpoint.name, endpoint.model, routes, health, shown_shares, changed)


def healths(endpoint: Endpoint) -> str:
    """Return how many of the routes are of each health."""
    if endpoint.health_check is None:
        return "no health check"
    counted = Counter(route.health for route in endpoint.present_routes)
    return ", ".join(
        f"{counted[health]} {health.replace('_', ' ')}"
        for health in HEALTH_COLOURS
        if counted[health]
    )


def shares(getting: list[float]) -> str:
    """Return the different shares of the traffic, as percentages, the largest first."""
    counted = Counter(_per_cent(share) for share in sorted(getting, reverse=True))
    shown = [f"{times} x {share}" if times > 1 else share for share, times in counted.items()]
    more = ["..."] if len(shown) > SHARES_MAX else []
    return ", ".join([*shown[:SHARES_MAX], *more]) or "none"


def _per_cent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def endpoint_pairs(
    revision: int, endpoint: Endpoint, now: datetime
) -> list[tuple[str, object | None]]:
    """Return what is to be said of the endpoint as a whole."""
    created = age_of(endpoint.created_at, now)
    destroyed = age_of(endpoint.destroyed_at, now)
    return [
        ("endpoint", endpoint.endpoint_id),
        ("name", endpoint.name),
        ("model", endpoint.model),
        ("variant", endpoint.runtime_variant),
        ("public", "open, no token needed" if endpoint.open_to_public else "a token is needed"),
        ("health check", health_check_in_words(endpoint.health_check)),
        ("created", created and f"{created} ago, by {endpoint.created_at}"),
        ("destroyed", destroyed and f"{destroyed} ago, by {endpoint.destroyed_at}"),
        ("version", f"{endpoint.version}, {age_of(endpoint.version, now)} ago"),
        ("revision", revision or None),
    ]


def health_check_in_words(health_check: HealthCheck | None) -> str:
    """Return how the routes of an endpoint are checked, as a sentence."""
    if health_check is None:
        return "none: every route that runs gets traffic"
    return (
        f"{health_check.path} every {health_check.interval:g}s,"
        f" {health_check.expected_status_code} within {health_check.max_wait_time:g}s;"
        f" unhealthy after {health_check.max_retries} failures in a row,"
        f" which count from {health_check.grace_s:g}s after the start"
    )


def route_rows(
    endpoint: Endpoint, now: datetime, names: Mapping[EntryId, str], *, narrow: bool
) -> Iterator[tuple[object, ...]]:
    """Yield the cells of `ROUTE_COLUMNS` for each route; *names* are the types of events by id.

    A *narrow* row has the beginning of the route's id.
    """
    traffic = traffic_of(endpoint)
    for route in endpoint.present_routes:
        gets = traffic[route.route_id]
        health_at = route.started_at if route.health == "not_checked" else route.health_at
        yield (
            shown_id(route.route_id, wide=not narrow),
            address(route.kernel_host, route.kernel_port) or "none",
            route.status,
            age_of(route.status_since, now),
            Text(route.health.replace("_", " "), HEALTH_COLOURS[route.health]),
            age_of(health_at, now),
            _per_cent(gets.share) if gets.why_not is None else f"({route.traffic_ratio:g})",
            _traffic(gets),
            _decider(gets.decided_at, names),
        )


def _decider(at: EntryId, names: Mapping[EntryId, str]) -> str | None:
    return f"{at} {names.get(at, '')}".rstrip() if at > START else None


def _traffic(gets: Traffic) -> Text:
    if gets.why_not is None:
        return Text("yes", "green")
    return Text(f"no: {gets.why_not}", "red")


def notes(endpoint: Endpoint, *, wide: bool = False) -> Iterator[str]:
    """Yield what there is to say of single routes, one line each; a *wide* one has whole ids."""
    for route in endpoint.present_routes:
        yield from _notes_of(route, wide=wide)
    awaiting = len(endpoint.routes) - len(endpoint.present_routes)
    if awaiting:
        yield f"{awaiting} more heard of, but never created and in no list of routes"


def _notes_of(route: Route, *, wide: bool) -> Iterator[str]:
    shown = shown_id(route.route_id, wide=wide)
    for error in route.errors:
        yield printable(f"{shown} {route.status}: {error}")
    if route.health_reason is not None:
        times = route.consecutive_failures
        after = f" after {times} failure{'s' if times > 1 else ''} in a row" if times else ""
        yield printable(f"{shown} {route.health.replace('_', ' ')}{after}: {route.health_reason}")
