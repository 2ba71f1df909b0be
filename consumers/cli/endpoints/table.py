"""Describes endpoints and their routes in words, for tables and details."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace
from rich.text import Text

from consumers.cli.terminal.event_summary import asked_in_words, labels_text, owner_text, split_text
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.output import printable, shown_id
from consumers.doctor.finding import counted
from events.catalogue.deep_check import DeepCheck
from events.catalogue.health_check import HealthCheck, Tls
from events.catalogue.request_headers import masked
from events.entry.age import age_of, span
from events.entry.entry_id import START, EntryId
from events.errors import ServerRefusedError
from events.log.log import EventLog
from projections.health_state.last_probe import read_last_probes
from projections.health_state.probe_times import read_health_ages
from projections.read_model.knowledge import Knowledge
from projections.route_table.endpoint import Endpoint, is_gone
from projections.route_table.health_age import HealthAge, LastProbe, RouteKey
from projections.route_table.route import Health, Route

HEALTH_COLOURS: dict[Health, str] = {
    "healthy": "green",
    "unhealthy": "red",
    "degraded": "yellow",
    "not_checked": "dim",
}
SHARES_MAX = 3
"""Different shares of traffic that are shown for one endpoint."""


class KnowledgeRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log is folded; *behind_s* is null where no group folds the partition."""

    group: str
    head: EntryId | None
    unfolded: EntryId | None
    behind_s: float | None


def knowledge_row(known: Knowledge, now: datetime) -> KnowledgeRow:
    """Return how current what is shown is, for a program."""
    behind_s = known.behind_s(now)
    return KnowledgeRow(
        group=known.group,
        head=known.head if known.head > START else None,
        unfolded=known.unfolded,
        behind_s=None if behind_s is None else round(behind_s, 3),
    )


def healths(
    health_check: object | None, routes: Iterable[Health], *, flapping: int, stale: int
) -> str:
    """Return how many routes have each health, how many flap, and of how many it is stale."""
    if health_check is None:
        return "no health check"
    each_count = Counter(routes)
    each = [
        f"{each_count[health]} {health.replace('_', ' ')}"
        for health in HEALTH_COLOURS
        if each_count[health]
    ]
    further = [
        f"{count} {word}" for count, word in ((flapping, "flapping"), (stale, "stale")) if count
    ]
    return ", ".join([*each, *further])


def health_text(health: Health, *, is_stale: bool, flapping: bool) -> Text:
    """Return a route's health, and whether it is stale: then its colour says so, too."""
    words = health.replace("_", " ")
    if flapping:
        words, health = f"{words}, flapping", "unhealthy"
    return Text(f"{words}, stale", "yellow") if is_stale else Text(words, HEALTH_COLOURS[health])


def looked_at(age: HealthAge) -> str | None:
    """Return when the health was last looked at, as an RFC 3339 time; None if never."""
    if age.looked_at_ms is None:
        return None
    at = datetime.fromtimestamp(age.looked_at_ms / 1_000, UTC)
    return at.isoformat(timespec="milliseconds")


def checked_ago(at: str | None, is_stale: bool | None, now: datetime) -> str | None:  # noqa: FBT001 - as rows have it
    """Return how long ago, by an RFC 3339 time, a route's health was last looked at."""
    if at is None:
        return "never" if is_stale else None
    return span((now - datetime.fromisoformat(at)).total_seconds())


def last_probe_text(last: LastProbe | None) -> Text | None:
    """Return how a route's last probe ended, None where nothing is kept of it."""
    if last is None:
        return None
    took = f"in {last.duration_ms:g} ms"
    if last.cause is None:
        return Text(f"ok {took}", "green")
    return Text(printable(f"{last.cause.replace('_', ' ')} {took}: {last.reason}"), "red")


async def ages_shown(
    log: EventLog, endpoints: Iterable[Endpoint], now: datetime
) -> dict[RouteKey, HealthAge]:
    """Return how old the health of the routes is, and how their last probes ended.

    Say so where the server refuses to tell.
    """
    shown = list(endpoints)
    try:
        ages = await read_health_ages(log, shown, now)
        probes = await read_last_probes(log, ages)
        return {key: replace(age, last_probe=probes.get(key)) for key, age in ages.items()}
    except ServerRefusedError as error:
        say(f"how old health is cannot be read: {error}")
        return {}


def stale_note(ages: Iterable[HealthAge]) -> str | None:
    """Return a sentence about stale health, None where there is none."""
    stale = [age for age in ages if age.is_stale]
    if not stale:
        return None
    oldest = max((age.age_s for age in stale if age.age_s is not None), default=None)
    since = "ever" if oldest is None else f"for up to {span(oldest)}"
    return f"health is stale: nobody has looked at {counted(len(stale), 'route')} {since}"


def shares(getting: list[float]) -> str:
    """Return the different shares of the traffic, as percentages, the largest first."""
    counted = Counter(per_cent(share) for share in sorted(getting, reverse=True))
    shown = [f"{times} x {share}" if times > 1 else share for share, times in counted.items()]
    more = ["..."] if len(shown) > SHARES_MAX else []
    return ", ".join([*shown[:SHARES_MAX], *more]) or "none"


def per_cent(share: float) -> str:
    """Return a share as a person reads it; a small one is never shown as none."""
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def endpoint_pairs(
    revision: int, endpoint: Endpoint, now: datetime
) -> list[tuple[str, object | None]]:
    """Return names and values that describe the endpoint as a whole."""
    created = age_of(endpoint.created_at, now)
    destroyed = age_of(endpoint.destroyed_at, now)
    return [
        ("endpoint", endpoint.endpoint_id),
        ("name", endpoint.name),
        ("model", endpoint.model),
        ("variant", endpoint.runtime_variant),
        ("owner", owner_text(endpoint.owner)),
        ("labels", labels_text(endpoint.labels)),
        ("public", "open, no token needed" if endpoint.open_to_public else "a token is needed"),
        ("health check", health_check_in_words(endpoint.health_check)),
        ("split", _split_in_words(endpoint, now)),
        ("created", created and f"{created} ago, by {endpoint.created_at}"),
        ("destroyed", destroyed and f"{destroyed} ago, by {endpoint.destroyed_at}"),
        ("version", f"{endpoint.version}, {age_of(endpoint.version, now)} ago"),
        ("revision", revision or None),
    ]


def _split_in_words(endpoint: Endpoint, now: datetime) -> str | None:
    if not endpoint.split:
        return None
    split = split_text(endpoint.split, endpoint.rollout)
    reason = f": {printable(endpoint.split_reason)}" if endpoint.split_reason else ""
    return f"{split}{reason}, since {age_of(endpoint.split_at, now)} by {endpoint.split_at}"


def health_check_in_words(health_check: HealthCheck | None) -> str:
    """Return how the routes of an endpoint are checked, as a sentence."""
    if health_check is None:
        return "none: every route that runs gets traffic"
    expected = f"{health_check.expected_text} " if health_check.kind == "http" else ""
    return (
        f"{asked_in_words(health_check)} every {health_check.interval:g}s,"
        f" {expected}within {health_check.max_wait_time:g}s;"
        f" unhealthy after {health_check.max_retries} failures in a row,"
        f" which count after the first success, or {health_check.grace_s:g}s"
        + "".join(f"; {further}" for further in _further(health_check))
    )


def _further(check: HealthCheck) -> Iterator[str]:
    """Yield what is not as it is by default; of headers only that they are sent, and which."""
    tls, refused = check.tls or Tls(), check.refused_retries
    sent = ", ".join(f"{name}: {value}" for name, value in masked(check.headers).items())
    for is_told, told in (
        (not tls.verify, "the certificate is not verified"),
        (tls.ca, "the certificate is verified by an authority of its own"),
        (check.host_header, f"host {check.host_header}"),
        (sent, f"with {sent}"),
        (check.body_contains, f"the body contains {check.body_contains!r}"),
        (check.connect_timeout, f"connects within {check.connect_timeout_s:g}s"),
        (check.keep_alive, "keeps its connections"),
        (check.rise > 1, f"healthy after {check.rise} successes in a row"),
        (refused, f"unhealthy after {counted(refused or 0, 'refused connection')} in a row"),
        (check.on_stale == "unhealthy", "unhealthy while stale"),
        (check.warm_up_time, f"warms up for at most {check.warm_up_time or 0:g}s"),
        (check.deep, f"asks for a token every {(check.deep or DeepCheck()).interval:g}s"),
    ):
        if is_told:
            yield told


def notes(endpoint: Endpoint, *, wide: bool = False) -> Iterator[str]:
    """Yield remarks about single routes, one line each; a *wide* line has whole ids."""
    for route in endpoint.present_routes:
        yield from _notes_of(route, wide=wide)
    absent = (route for route in endpoint.routes.values() if route.listed_at <= START)
    awaiting = sum(not is_gone(route) for route in absent)
    if awaiting:
        yield f"{awaiting} more heard of, but never created and in no list of routes"


def _notes_of(route: Route, *, wide: bool) -> Iterator[str]:
    shown = shown_id(route.route_id, wide=wide)
    for error in route.errors:
        yield printable(f"{shown} {route.status}: {error}")
    if route.status_reason is not None:
        yield printable(f"{shown} {route.status}: {route.status_reason}")
    if route.eviction_at > route.health_at:
        yield printable(f"{shown} should be replaced: {route.eviction_reason}")
    if route.health_reason is not None:
        times = route.consecutive_failures
        after = f" after {times} failure{'s' if times > 1 else ''} in a row" if times else ""
        yield printable(f"{shown} {route.health.replace('_', ' ')}{after}: {route.health_reason}")
