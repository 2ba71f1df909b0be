"""Read how the last probe of each route ended: kept beside the log for a while, for the tools."""

from collections.abc import Iterable, Sequence

import msgspec

from events.log.keys import partition_of
from events.log.log import EventLog
from events.server.reply import reply_or_none
from projections.health_state.probe_times import member_of
from projections.route_table.health_age import LastProbe, RouteKey

_ASKED_MAX = 1_000
"""Routes that one command asks about."""

_DECODER = msgspec.json.Decoder(LastProbe)


async def read_last_probes(log: EventLog, routes: Iterable[RouteKey]) -> dict[RouteKey, LastProbe]:
    """Return how the last probes of *routes* ended; those of which nothing is kept are missing.

    Raises:
        ServerUnavailableError: The server cannot be reached.
        ServerRefusedError: The account may not read it, or something else lies there.
    """
    wanted: dict[int, list[RouteKey]] = {}
    for key in routes:
        wanted.setdefault(partition_of(key[0], log.partitions), []).append(key)
    found: dict[RouteKey, LastProbe] = {}
    for partition, own in wanted.items():
        found |= await _read(log, partition, own)
    return found


async def _read(
    log: EventLog, partition: int, routes: Sequence[RouteKey]
) -> dict[RouteKey, LastProbe]:
    found: dict[RouteKey, LastProbe] = {}
    for start in range(0, len(routes), _ASKED_MAX):
        asked = routes[start : start + _ASKED_MAX]
        key = log.keys.probe_results(partition)
        raw = await log.server.client.call("HMGET", key, *map(member_of, asked))
        kept = reply_or_none(raw, list[bytes | None]) or []
        for route, document in zip(asked, kept, strict=False):
            if document is not None and (last := _decoded(document)) is not None:
                found[route] = last
    return found


def _decoded(document: bytes) -> LastProbe | None:
    try:
        return _DECODER.decode(document)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None  # the next report writes it anew
