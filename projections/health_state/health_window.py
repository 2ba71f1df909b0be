"""Read an endpoint's health between two moments, from log and archive."""

from uuid import UUID

import msgspec

from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteStartedEvent,
    RouteTerminatedEvent,
    RouteTerminatingEvent,
)
from events.entry.codec import subject_of
from events.entry.entry_id import START, EntryId
from events.entry.recorded import Entry
from events.history.history import History
from events.history.history_window import read_window
from events.log.keys import partition_of
from events.log.protocol import readable
from projections.health_state.health_list import read_documents
from projections.health_state.health_state import HEALTH_STATE
from projections.health_state.history import RouteHistory, Span, histories, known_before
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import ENDED

_NAMES = frozenset(
    event.wire_name.encode()
    for event in (
        EndpointRouteListUpdatedEvent,
        RouteCreatedEvent,
        RouteStartedEvent,
        RouteTerminatingEvent,
        RouteTerminatedEvent,
        RouteFailedEvent,
        ModelServiceStatusEvent,
    )
)
_DESTROYED = b"endpoint_destroyed"


class HealthWindow(msgspec.Struct, frozen=True):
    """The health of an endpoint's routes in a window.

    Attributes:
        window: The time.
        is_whole: Whether that is all that was asked for; otherwise there was too much.
        is_kept: Whether a health-state read model gave the health before the window.
        routes: The history of each route.
    """

    window: Span
    is_whole: bool
    is_kept: bool
    routes: list[RouteHistory]


async def read_health(
    history: History, endpoint: Endpoint, since: EntryId, now_ms: int
) -> HealthWindow:
    """Return the health of *endpoint* from *since* to now, from the events of the log.

    The window begins no earlier than the part that log and archive have without a gap.

    Raises:
        ArchiveError: The archive is needed, and cannot be read or is damaged.
    """
    wanted = endpoint.endpoint_id
    partition = partition_of(wanted, history.partitions)
    between = (since, EntryId(now_ms + 1, 0))
    found = await read_window(history, partition, between, lambda entry: _is_wanted(entry, wanted))
    read = [recorded for entry in found.entries if (recorded := readable(entry)) is not None]
    documents = (await read_documents(history.log, [wanted]))[partition]
    start_ms = min(found.start.ms, now_ms)
    window = Span(start_ms, max(now_ms, start_ms + 1))
    return HealthWindow(
        window=window,
        is_whole=found.is_whole,
        is_kept=documents is not None,
        routes=histories(
            known_before(
                (documents or {}).get(wanted) or HEALTH_STATE.initial(wanted), found.start
            ),
            _ended_before(endpoint, found.start),
            [recorded for recorded in read if recorded.endpoint_id == wanted],
            window,
            is_all=found.is_all,
        ),
    )


def _is_wanted(entry: Entry, endpoint_id: UUID) -> bool:
    name = entry.fields.get(b"name")
    if name not in _NAMES and name != _DESTROYED:
        return False
    return subject_of(entry) == endpoint_id


def _ended_before(endpoint: Endpoint, start: EntryId) -> set[UUID]:
    return {
        route.route_id
        for route in endpoint.routes.values()
        if route.status in ENDED and START < route.status_since < start
    }
