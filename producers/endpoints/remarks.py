"""Say what a decision will not do, where that is other than its name suggests."""

from collections.abc import Iterator

from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    RouteFailedEvent,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.entry.recorded import Metadata, RecordedEvent, fold
from producers.endpoints.decisions import Decision
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.traffic import traffic_of


def after_decision(before: Endpoint, decision: Decision) -> Endpoint:
    """Return the state that *decision* leads to, if nothing else happens meanwhile."""
    recorded = []
    at = before.version
    for event in decision:
        at = at.after()
        recorded.append(RecordedEvent(at, 0, event, "", "", Metadata()))
    return fold(ROUTE_TABLE.evolve, before, recorded)


def remarks_on(before: Endpoint, decision: Decision) -> list[str]:
    """Return a sentence for each expectation that *decision* will not meet."""
    after = after_decision(before, decision)
    return [remark for event in decision for remark in _remarks(after, event)]


def _remarks(after: Endpoint, event: Event) -> Iterator[str]:
    match event:
        case RouteTerminatingEvent() | RouteFailedEvent():
            route = after.routes.get(event.route_id)
            if route is not None:
                yield (
                    f"route {event.route_id} stays in the list as {route.status} until its session"
                    " is recorded as gone, or a route list without it, or its endpoint is destroyed"
                )
        case ModelServiceStatusEvent() if after.health_check is None:
            yield (
                f"this changes no traffic: endpoint {after.endpoint_id} has no health check, so"
                " its routes get traffic whatever their health"
            )
        case ModelServiceStatusEvent(new_status="unhealthy"):
            return
        case RouteTrafficRatioUpdatedEvent(traffic_ratio=0):
            return
        case ModelServiceStatusEvent() | RouteTrafficRatioUpdatedEvent() | RouteStartedEvent():
            traffic = traffic_of(after).get(event.route_id)
            if traffic is not None and traffic.why_not is not None:
                yield f"route {event.route_id} gets no traffic all the same: {traffic.why_not}"
        case _:
            return
