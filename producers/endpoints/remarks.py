"""Say what a decision will not do, where that is other than its name suggests."""

from collections.abc import Iterator

from msgspec.structs import replace

from events.catalogue.event import Event
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    RouteFailedEvent,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.catalogue.traffic_split import TrafficSplitUpdatedEvent
from events.entry.recorded import Metadata, RecordedEvent, fold
from producers.endpoints.decisions import Decision
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.routing import routable
from projections.route_table.traffic import revision_in_words, traffic_of


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
        case TrafficSplitUpdatedEvent():
            yield from _idle_shares(after)
        case _:
            return


def _idle_shares(after: Endpoint) -> Iterator[str]:
    """Yield a sentence for each revision with a share that no route of it can take now."""
    undivided = replace(after, split={}, traffic_status="active")
    fit = {route.revision for route in routable(undivided)}
    follows = (
        "its share goes to the others until one can"
        if fit & after.split.keys()
        else "no route gets traffic until one can"
    )
    for revision in sorted(after.split.keys() - fit):
        yield f"{revision_in_words(revision)}: no route can take traffic, {follows}"
