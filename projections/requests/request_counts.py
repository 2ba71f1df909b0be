"""Read how requests to routes ended lately, as proxies have reported it."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from events.log.keys import Keys, partition_of
from events.log.log import EventLog
from events.server.reply import Ask, reply
from projections.health_state.probe_times import member_of
from projections.route_table.health_age import RouteKey

SLICE_S = 10
"""Requests are counted in slices of so many seconds."""

SLICES_KEPT = 30
"""Slices that are kept: five minutes."""

KEPT_S = SLICE_S * SLICES_KEPT
"""Seconds after which what was reported is forgotten."""

_ASKED_MAX = 1_000
"""Routes that one command asks about."""

_FIELD = re.compile(rb"(\d{1,16}) (\d{1,16})((?: \d{1,16}:\d{1,15}:\d{1,15}){0,100})")
_NUMBER = re.compile(rb"\d+")


class RequestCounts(msgspec.Struct, frozen=True):
    """How requests to one route ended; what nobody reported is not in it.

    Attributes:
        successes: Requests that the route answered, within the time asked for.
        failures: Requests that it did not answer as it should, within the time asked for.
        succeeded_ms: When a success was last reported, in ms by the server's clock; 0: not lately.
        failed_ms: When a failure was last reported; 0: not lately.
    """

    successes: int = 0
    failures: int = 0
    succeeded_ms: int = 0
    failed_ms: int = 0


NONE_REPORTED = RequestCounts()


async def read_request_counts(
    log: EventLog, routes: Iterable[RouteKey], within_s: float
) -> dict[RouteKey, RequestCounts]:
    """Return how requests to each of *routes* ended in the last *within_s* seconds.

    Time is counted in slices of `SLICE_S`: what was reported up to one slice earlier is in it, too.
    Nothing older than `KEPT_S` is known. A route without reports has none.

    Raises:
        ServerUnavailableError: The server cannot be reached.
        ServerRefusedError: The account may not read the counts, or something else lies there.
    """
    ask = log.server.client.call
    wanted: dict[int, list[RouteKey]] = {}
    for route in routes:
        wanted.setdefault(partition_of(route[0], log.partitions), []).append(route)
    raw = await (await log.server.at(log.keys.requests(0))).call("TIME")
    seconds, microseconds = reply(raw, tuple[int, int])
    now_ms = seconds * 1_000 + microseconds // 1_000
    counts: dict[RouteKey, RequestCounts] = {}
    for partition, own in wanted.items():
        counts |= await _read(ask, log.keys, partition, own, now_ms - round(within_s * 1_000))
    return counts


async def _read(
    ask: Ask, keys: Keys, partition: int, routes: Sequence[RouteKey], since_ms: int
) -> dict[RouteKey, RequestCounts]:
    counts: dict[RouteKey, RequestCounts] = {}
    for start in range(0, len(routes), _ASKED_MAX):
        asked = routes[start : start + _ASKED_MAX]
        raw = await ask("HMGET", keys.requests(partition), *map(member_of, asked))
        fields = reply(raw, list[bytes | None])
        counts |= {
            route: counts_of(field, since_ms) for route, field in zip(asked, fields, strict=True)
        }
    return counts


def counts_of(field: bytes | None, since_ms: int) -> RequestCounts:
    """Return what a field of the hash says of the time since *since_ms*; none if it is damaged."""
    found = None if field is None else _FIELD.fullmatch(field)
    if found is None:
        return NONE_REPORTED
    numbers = [int(number) for number in _NUMBER.findall(found[3])]
    slices = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    newer = [one for one in slices if (one[0] + 1) * SLICE_S * 1_000 > since_ms]
    return RequestCounts(
        sum(successes for _, successes, _ in newer),
        sum(failures for _, _, failures in newer),
        int(found[1]),
        int(found[2]),
    )
