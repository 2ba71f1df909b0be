"""Finds the endpoint that a person names, also before a read model has it."""

import re
from uuid import UUID

import anyio

from consumers.cli.terminal.messages import say
from events.catalogue.endpoint import EndpointCreatedEvent, EndpointDestroyedEvent
from events.entry.entry_id import START
from events.entry.recorded import Entry
from events.history.history import History
from events.history.tail import SEARCHED_MAX, read_tail
from events.log.log import EventLog
from events.log.protocol import readable
from projections.errors import (
    AmbiguousEndpointError,
    EndpointNotFoundError,
    NoLiveGenerationError,
)
from projections.route_table.endpoint import Endpoint
from projections.route_table.lookup import (
    BEGINNING_CHARACTERS_MIN,
    choose_endpoint,
    find_endpoint,
    read_endpoint,
    whole_id,
)
from projections.route_table.route_table import ROUTE_TABLE

WAIT_S = 5.0
"""The longest wait for a read model to have an endpoint that is in the log."""

_LOOK_EVERY_S = 0.1
_BEGINNING = re.compile(rf"[0-9a-f-]{{{BEGINNING_CHARACTERS_MIN},36}}\Z")


def say_left_out(partition: int) -> None:
    """Say that the endpoints of *partition* are left out."""
    say(f"partition {partition} is left out: it is not live")


async def endpoint_id_of(log: EventLog, named: str) -> UUID:
    """Return the id of the endpoint that *named* stands for; a whole id need not exist.

    What the read model does not have, or has not yet, is looked for in the newest `SEARCHED_MAX`
    entries of each partition.

    Raises:
        EndpointNotFoundError: No endpoint is named like that.
        NoLiveGenerationError: The same, and there is no read model either.
        AmbiguousEndpointError: It could be several.
    """
    whole = whole_id(named)
    if whole is not None:
        return whole
    try:
        _, state = await read_endpoint(log, named, say_left_out)
    except (EndpointNotFoundError, NoLiveGenerationError):
        newest = await _newest_in_log(log, named)
        if newest is None:
            raise
        return newest.endpoint_id
    # A name may have been given again since the read model was folded.
    newest = await _newest_in_log(log, named) if state.is_destroyed else None
    return state.endpoint_id if newest is None else newest.endpoint_id


async def _newest_in_log(log: EventLog, named: str) -> Endpoint | None:
    """Return the endpoint of the newest entries that *named* stands for, None for none."""
    beginning = named.lower()

    def is_wanted(entry: Entry) -> bool:
        recorded = readable(entry)
        if recorded is None:
            return False
        event = recorded.event
        if isinstance(event, EndpointDestroyedEvent):
            return True
        is_named = isinstance(event, EndpointCreatedEvent) and event.name == named
        return is_named or str(event.endpoint_id).startswith(beginning)

    tail = await read_tail(History(log), range(log.partitions), SEARCHED_MAX, is_wanted)
    states: dict[UUID, Endpoint] = {}
    for recorded in filter(None, map(readable, tail.entries)):
        endpoint_id = recorded.endpoint_id
        state = states.get(endpoint_id) or ROUTE_TABLE.initial(endpoint_id)
        states[endpoint_id] = ROUTE_TABLE.evolve(state, recorded)
    try:
        return choose_endpoint([(0, state) for state in states.values()], named)[1]
    except EndpointNotFoundError:
        return None


async def live_endpoint(log: EventLog, named: str) -> tuple[int, Endpoint]:
    """Return revision and live state of the endpoint; wait a moment for one that is in the log.

    Raises:
        EndpointNotFoundError: The endpoint has no live document.
        NoLiveGenerationError: There is no read model to look in.
        AmbiguousEndpointError: It could be several.
    """
    try:
        return await read_endpoint(log, named, say_left_out)
    except (EndpointNotFoundError, NoLiveGenerationError):
        endpoint_id = await endpoint_id_of(log, named)
        if await log.endpoint_head(endpoint_id) <= START:
            raise
        say(f"waiting up to {WAIT_S:g} s for the read model to have endpoint {endpoint_id}")
        with anyio.move_on_after(WAIT_S):
            while True:
                try:
                    return await read_endpoint(log, str(endpoint_id))
                except (EndpointNotFoundError, NoLiveGenerationError):
                    await anyio.sleep(_LOOK_EVERY_S)
        raise


async def id_or_beginning(log: EventLog, named: str) -> str:
    """Return the id of the endpoint that *named* stands for, or *named* as the beginning of ids.

    Raises:
        EndpointNotFoundError: It is the beginning of no id, and no endpoint is named like that.
        AmbiguousEndpointError: It is the name of several.
    """
    whole = whole_id(named)
    if whole is not None:
        return str(whole)
    beginning = named.lower()
    if not _BEGINNING.match(beginning):
        try:
            return str(await endpoint_id_of(log, named))
        except NoLiveGenerationError as error:
            raise EndpointNotFoundError(
                f"no endpoint of the newest entries has the name {named!r}, and the {error}"
            ) from None
    try:
        return str(await find_endpoint(log, named))
    except (EndpointNotFoundError, NoLiveGenerationError, AmbiguousEndpointError):
        return beginning
