"""Reads endpoints as they are live, or as they were after any entry of the log."""

from datetime import datetime

import click

from consumers.cli.deployment import Deployment, snapshots_of, source_of
from consumers.cli.endpoints.named_endpoint import live_endpoint, say_left_out
from events.entry.entry_id import EntryId
from events.entry.position import parse_position, time_of
from events.log.keys import partition_of
from events.log.log import EventLog
from events.server.server import now_of
from projections.errors import EndpointNotFoundError
from projections.replay.replay import only
from projections.route_table.endpoint import Endpoint
from projections.route_table.lookup import choose_endpoint, live_endpoints, whole_id
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.as_of import as_of

as_of_option = click.option(
    "--as-of",
    "position",
    metavar="POSITION",
    help="As it was then: start, end, an entry id, an RFC 3339 time, or a span such as -2h.",
)


async def endpoint_at(
    deployment: Deployment, log: EventLog, named: str, position: str | None
) -> tuple[int, Endpoint, datetime]:
    """Return revision (0: a past state), state, and the moment to count ages from.

    Raises:
        EndpointNotFoundError: No endpoint had that id or name then.
        NoLiveGenerationError: The read model has no live generation.
        HistoryMissingError: Entries that the past state depends on are gone.
        AmbiguousEndpointError: *named* fits several endpoints.
    """
    now = await now_of(log.server)
    if position is None:
        return *await live_endpoint(log, named), now
    until = parse_position(position, now)
    whole = whole_id(named)
    if whole is None:
        found = await _all_at(deployment, log, until)
        return *choose_endpoint(found, named, f" at {position}"), moment_of(until, now)
    partition = partition_of(whole, log.partitions)
    snapshots = snapshots_of(deployment, log, partition)
    source = source_of(deployment, log)
    folding = await as_of(source, ROUTE_TABLE, snapshots, until, only(whole))
    state = folding.states.get(whole)
    if state is None:
        raise EndpointNotFoundError(f"endpoint {whole} had no event yet at {position}")
    return 0, state, moment_of(until, now)


async def endpoints_at(
    deployment: Deployment, log: EventLog, position: str | None
) -> tuple[list[tuple[int, Endpoint]], datetime]:
    """Return revision and state of every endpoint, and the moment to count ages from.

    Raises:
        NoLiveGenerationError: The read model has no live generation.
        HistoryMissingError: Entries that the past states depend on are gone.
    """
    now = await now_of(log.server)
    if position is None:
        return [one async for one in live_endpoints(log, say_left_out)], now
    until = parse_position(position, now)
    return await _all_at(deployment, log, until), moment_of(until, now)


def moment_of(position: EntryId, now: datetime) -> datetime:
    """Return the moment to count ages from: that of *position*, but at most now."""
    return min(now, time_of(position))


async def _all_at(
    deployment: Deployment, log: EventLog, until: EntryId
) -> list[tuple[int, Endpoint]]:
    found: list[tuple[int, Endpoint]] = []
    for partition in range(log.partitions):
        snapshots = snapshots_of(deployment, log, partition)
        folding = await as_of(source_of(deployment, log), ROUTE_TABLE, snapshots, until)
        found += ((0, state) for state in folding.states.values())
    return found
