"""Events of every type, drawn within their limits."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from events.catalogue.endpoint import (
    EndpointCreatedEvent,
    EndpointDestroyedEvent,
    EndpointHealthCheckUpdatedEvent,
)
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTerminatingEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata

names = st.text(min_size=1, max_size=256)
paths = st.from_regex(r"/[^\s]*\Z", fullmatch=True).filter(lambda path: len(path) <= 2048)
hosts = st.from_regex(r"[^\s/]+\Z", fullmatch=True).filter(lambda host: len(host) <= 255)
ports = st.integers(1, 65_535)
ratios = st.floats(0, 1)
protocols = st.sampled_from(["http", "h2", "grpc", "tcp", "preopen"])
statuses = st.sampled_from(["provisioning", "running", "terminating", "terminated", "failed"])
times = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - the zone is drawn
    datetime(2199, 1, 1),  # noqa: DTZ001 - the zone is drawn
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(-timedelta(hours=3.5))]),
)
entry_ids = st.builds(EntryId, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))

health_checks = st.builds(
    HealthCheck,
    path=paths,
    interval=st.floats(0, 86_400, exclude_min=True),
    max_retries=st.integers(1, 1_000),
    max_wait_time=st.floats(0, 3_600, exclude_min=True),
    expected_status_code=st.integers(100, 599),
    initial_delay=st.none() | st.floats(0, 86_400),
)
route_records = st.builds(
    RouteRecord,
    route_id=st.uuids(),
    session_id=st.none() | st.uuids(),
    app=st.text(max_size=256),
    kernel_host=st.none() | hosts,
    kernel_port=st.none() | ports,
    protocol=protocols,
    traffic_ratio=ratios,
    status=statuses,
)
metadata = st.builds(
    Metadata,
    request_id=st.none() | st.text(),
    correlation_id=st.none() | st.text(),
    causation_id=st.none() | st.text(),
    traceparent=st.none() | st.text(),
)

EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    EndpointCreatedEvent: st.builds(
        EndpointCreatedEvent,
        endpoint_id=st.uuids(),
        name=names,
        model=names,
        runtime_variant=names,
        open_to_public=st.booleans(),
        health_check=st.none() | health_checks,
    ),
    EndpointHealthCheckUpdatedEvent: st.builds(
        EndpointHealthCheckUpdatedEvent,
        endpoint_id=st.uuids(),
        health_check=st.none() | health_checks,
    ),
    EndpointRouteListUpdatedEvent: st.builds(
        EndpointRouteListUpdatedEvent,
        endpoint_id=st.uuids(),
        routes=st.lists(route_records, max_size=5, unique_by=lambda route: route.route_id).map(
            tuple
        ),
    ),
    RouteCreatedEvent: st.builds(RouteCreatedEvent, endpoint_id=st.uuids(), route=route_records),
    RouteStartedEvent: st.builds(
        RouteStartedEvent,
        endpoint_id=st.uuids(),
        route_id=st.uuids(),
        session_id=st.none() | st.uuids(),
        app=st.text(max_size=256),
        kernel_host=hosts,
        kernel_port=ports,
        protocol=protocols,
    ),
    RouteTerminatingEvent: st.builds(
        RouteTerminatingEvent, endpoint_id=st.uuids(), route_id=st.uuids()
    ),
    RouteFailedEvent: st.builds(
        RouteFailedEvent,
        endpoint_id=st.uuids(),
        route_id=st.uuids(),
        errors=st.lists(st.text(max_size=100), max_size=32).map(tuple),
    ),
    RouteTrafficRatioUpdatedEvent: st.builds(
        RouteTrafficRatioUpdatedEvent,
        endpoint_id=st.uuids(),
        route_id=st.uuids(),
        traffic_ratio=ratios,
    ),
    ModelServiceStatusEvent: st.builds(
        ModelServiceStatusEvent,
        endpoint_id=st.uuids(),
        route_id=st.uuids(),
        session_id=st.none() | st.uuids(),
        new_status=st.sampled_from(["healthy", "unhealthy"]),
        reason=st.none() | st.text(max_size=1_024),
        observed_at=times,
        consecutive_failures=st.integers(0, 2**63 - 1),
    ),
    EndpointDestroyedEvent: st.builds(EndpointDestroyedEvent, endpoint_id=st.uuids()),
}
