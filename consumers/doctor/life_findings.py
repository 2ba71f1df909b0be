"""Finds what lives no more: processes, checkers and proxies, and health that is stale."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import msgspec

from consumers.doctor.finding import Finding, counted, error, ok, warning
from consumers.doctor.log_facts import PartitionFacts
from consumers.doctor.server_queries import ServerQueries
from consumers.processes.registry import (
    CHECKERS,
    PUBLISHED,
    Fleet,
    fleet_in_words,
    fleets_of,
    read_processes,
)
from consumers.publishers.proxy_ledger import ProxyState, proxies_of
from events.entry.age import span
from events.log.keys import Keys
from events.log.positions import snapshot_holder
from events.retention.known_snapshots import read_known_snapshots, unread_of
from events.server.reply import reply_or_none
from producers.checker.known_checkers import KnownCheckers, read_known_checkers
from projections.errors import UnreadableDocumentError
from projections.health_state.probe_times import (
    ages_of,
    read_probe_times,
    route_key,
    routes_to_probe,
)
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import STALE_S, HealthAge, RouteKey
from projections.route_table.route_table import ROUTE_TABLE

LONG_AGO_MAX = 100
"""Routes of a partition without a probe for long whose endpoints are looked at."""

PROXY_BEHIND_S = 30.0
"""Seconds after which a revision that a proxy has not acknowledged is an error."""

_RUN = "routestream checkers run"


class HealthFacts(msgspec.Struct, frozen=True):
    """The health checkers, and how old the health of the routes is that were looked at.

    Attributes:
        checkers: The checkers, None if that is not known.
        ages: How old the health of routes is: those of the sampled endpoints, and those that were
            probed longest ago.
    """

    checkers: KnownCheckers | None = None
    ages: Mapping[RouteKey, HealthAge] = {}


async def read_health(
    queries: ServerQueries,
    keys: Keys,
    partitions: Sequence[PartitionFacts],
    lifetime_s: float,
    now: datetime | None,
) -> HealthFacts:
    """Read what is known of the checkers and of their probes; nothing without the server's clock.

    Args:
        queries: What asks the server.
        keys: The keys of the deployment.
        partitions: The partitions, with a sample of their endpoints.
        lifetime_s: Seconds without a sign of life after which a checker is dead.
        now: The server's clock.
    """
    if now is None:
        return HealthFacts()
    checkers = await read_known_checkers(queries.ask, keys, lifetime_s, now.timestamp())
    ages: dict[RouteKey, HealthAge] = {}
    for facts in (one for one in partitions if one.stream is not None):
        ages |= await _ages(queries, keys, facts, int(now.timestamp() * 1_000))
    return HealthFacts(checkers, ages)


async def _ages(
    queries: ServerQueries, keys: Keys, facts: PartitionFacts, now_ms: int
) -> dict[RouteKey, HealthAge]:
    """Return how old the health of some routes is, those not probed for longest among them."""
    key, old = keys.probed(facts.partition), f"({now_ms - STALE_S * 1_000:.0f}"
    raw = await queries.ask("ZRANGE", key, "-inf", old, "BYSCORE", "LIMIT", 0, LONG_AGO_MAX)
    long_ago = [route_key(member) for member in reply_or_none(raw, list[bytes]) or []]
    names = {*facts.kept_positions.heads, *(str(one[0]) for one in long_ago if one is not None)}
    endpoints = await _endpoints(queries, keys, facts.partition, sorted(names))
    routes = routes_to_probe(endpoints)
    times = await read_probe_times(queries.ask, keys, facts.partition, routes)
    return ages_of(endpoints, times, now_ms) if queries.was_told("ZMSCORE", key) else {}


async def _endpoints(
    queries: ServerQueries, keys: Keys, partition: int, names: Sequence[str]
) -> list[Endpoint]:
    """Return the live documents of *names* that can be read."""
    live = await queries.ask("GET", keys.live(partition, ROUTE_TABLE.read_model))
    if not isinstance(live, bytes) or not live.isdigit() or not names:
        return []
    key = keys.documents(partition, ROUTE_TABLE.read_model, int(live))
    endpoints = []
    for held in reply_or_none(await queries.ask("HMGET", key, *names), list[bytes | None]) or []:
        # The findings about read models name a document that cannot be read.
        with suppress(UnreadableDocumentError):
            endpoints += [] if held is None else [ROUTE_TABLE.read(held)[1]]
    return endpoints


def health_findings(facts: HealthFacts) -> Iterator[Finding]:
    """Yield the findings about the checkers, and about the age of health."""
    if facts.checkers is not None and facts.checkers.known:
        yield _of_checkers(facts.checkers)
    if facts.ages:
        yield _of_ages(facts.ages)


def _of_checkers(checkers: KnownCheckers) -> Finding:
    about, living = "health checkers", len(checkers.living)
    if not checkers.dead:
        return ok(about, "all live and share the endpoints", living)
    silent = f"the last sign of a dead one was {span(checkers.dead_s)} ago"
    if not living:
        return error(
            about,
            "none lives: nobody looks at the health of any route",
            f"0 of {checkers.known}; {silent}",
            to_do=_RUN,
        )
    return warning(
        about,
        "there are fewer than there were: the others look at all routes",
        f"{living} of {checkers.known}; {silent}",
        to_do=f"{_RUN}, once more; the dead are forgotten after a day",
    )


def _of_ages(ages: Mapping[RouteKey, HealthAge]) -> Finding:
    about = "health of routes"
    oldest_first = sorted(ages, key=lambda key: ages[key].looked_at_ms or 0)
    stale = [key for key in oldest_first if ages[key].is_stale]
    age_s = max((age.age_s or 0.0 for age in ages.values()), default=0.0)
    if not stale:
        what = f"it is current: somebody has looked within {span(age_s)}"
        return ok(about, what, f"{counted(len(ages), 'route')} compared")
    return warning(
        about,
        "it is stale: nobody has looked for 120 s or 3 intervals, and traffic follows what was"
        f" last known, such as of {_named(stale[0])}",
        f"{len(stale)} of {counted(len(ages), 'route')} compared, the oldest for {span(age_s)}",
        to_do=f"see that health checkers run, and what they log: {_RUN}",
    )


def _named(key: tuple[UUID, UUID]) -> str:
    return f"route {key[1]} of endpoint {key[0]}"


async def snapshot_findings(
    queries: ServerQueries, keys: Keys, partitions: Sequence[PartitionFacts], now: datetime | None
) -> list[Finding]:
    """Return a finding for each read model and partition of which a snapshot is noted."""
    if now is None:
        return []
    now_ms = round(now.timestamp() * 1_000)
    found: list[Finding] = []
    for facts in partitions:
        known = await read_known_snapshots(queries.ask, keys, facts.partition)
        for read_model in sorted({one.read_model for one in known if one.at is not None}):
            stands_at = facts.kept_positions.positions.get(snapshot_holder(read_model))
            unread = unread_of(read_model, stands_at, known, now_ms)
            about = f"snapshots of {read_model}, partition {facts.partition}"
            if unread is None:
                found.append(ok(about, "every projector that runs can read one", stands_at or ""))
                continue
            if unread.is_waiting:
                found.append(ok(about, unread.what, stands_at or "none yet"))
                continue
            what = f"a trim cannot rely on the newest one: {unread.what}"
            found.append(warning(about, what, stands_at or "none yet", to_do=unread.to_do))
    return found


async def read_fleets(
    queries: ServerQueries, keys: Keys, now: datetime | None
) -> Mapping[str, Fleet]:
    """Return the processes of each group; none without the server's clock."""
    if now is None:
        return {}
    return fleets_of(await read_processes(queries.ask, keys, now.timestamp()))


def process_findings(fleets: Mapping[str, Fleet]) -> Iterator[Finding]:
    """Yield a finding for each group; the checkers have findings of their own."""
    for group, fleet in sorted(fleets.items()):
        if group == CHECKERS:
            continue
        about, figure = f"processes of {group}", fleet_in_words(fleet) or ""
        if len(fleet.alive) >= fleet.wanted:
            yield ok(about, "as many run as are to run", figure)
            continue
        yield warning(
            about,
            "fewer run than are to run: some died, hang, or do not start",
            figure,
            to_do=f"see what their supervisor logs; else routestream {_run_of(group)}",
        )


def _run_of(group: str) -> str:
    """Return the command that runs a process of *group*."""
    publisher = group.removeprefix(PUBLISHED)
    return f"consume {group}" if publisher == group else f"publish {publisher}"


async def proxy_findings(
    queries: ServerQueries, keys: Keys, now: datetime | None
) -> Sequence[Finding]:
    """Return which proxies may not have the route table; nothing where none was ever fed."""
    proxies = await proxies_of(queries.ask, keys)
    if now is None or not proxies:
        return []
    at = now.timestamp()
    found = [finding for one in proxies if (finding := _of_proxy(one, at)) is not None]
    return found or [ok("proxies", "all have what they were given", len(proxies))]


def _of_proxy(proxy: ProxyState, now: float) -> Finding | None:
    about, condition = f"proxy {proxy.proxy} of {proxy.publisher}", proxy.condition(now)
    if condition == "silent":
        told = f"its publisher gave no sign of life for {span(now - proxy.noted_at)}"
        return error(about, told, to_do=f"routestream publish {proxy.publisher}")
    if condition == "unreachable":
        return error(about, f"it cannot be fed: {proxy.why}", to_do="routestream proxies ls")
    if condition == "refused":
        told = f"it has not taken all: {proxy.why}"
        return warning(about, told, proxy.refused, to_do="routestream proxies ls -o json")
    if condition == "behind" and now - (proxy.sent_at or now) > PROXY_BEHIND_S:
        told = f"it has not acknowledged revision {proxy.sent}"
        behind = span(now - (proxy.sent_at or now))
        return error(about, told, behind, to_do="see whether it reads what is published for it")
    return None
