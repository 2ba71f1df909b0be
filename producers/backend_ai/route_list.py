"""Read the routes that an endpoint's hand-off keys list."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec

from events.catalogue.route import ROUTES_MAX, Host, Port, Protocol, RouteRecord, TrafficRatio
from producers.backend_ai.handoff_key import (
    HandoffKey,
    HandoffProblem,
    HandoffValues,
    MalformedHandoffError,
    MissingHandoffKeyError,
    decoded,
    field_problem,
    underscored,
)
from producers.endpoints.decisions import record_of
from projections.route_table.endpoint import Endpoint


class _ListedRoute(msgspec.Struct, frozen=True):
    session_id: UUID
    route_id: UUID
    kernel_host: Host | None
    kernel_port: Port
    protocol: Protocol = "http"


class ReadRoutes(msgspec.Struct, frozen=True):
    """The routes that a list leads to, and why others were refused."""

    routes: tuple[RouteRecord, ...]
    problems: tuple[HandoffProblem, ...] = ()


def routes(endpoint: Endpoint, values: HandoffValues) -> ReadRoutes:
    """Return the endpoint's routes; an empty list is valid.

    Backend.AI lists the routes for each app, and its reader takes only the first app: the others
    list the same replicas at other ports. A listed route runs. Its weight is the value of its key;
    without the key it is the weight in *endpoint*, or 1.0 for a new route, so that an expired key
    resets no weight.

    A route with a broken field or weight is refused alone. It stays as it is in *endpoint*:
    without it the list would withdraw a replica that nobody withdrew.

    Raises:
        MalformedHandoffError: The list is missing, or is none, or none of its routes can be read:
            that is not taken for an empty list.
    """
    key = HandoffKey(endpoint.endpoint_id, "route_connection_info")
    apps = decoded(key, values, dict[str, list[Any]])
    app, items = next(iter(apps.items()), ("", []))
    records, refused = [], []
    errors: list[MalformedHandoffError] = []
    for index, item in enumerate(items):
        given = underscored(item) if isinstance(item, dict) else {}
        try:
            listed = msgspec.convert(given, _ListedRoute)
            records.append(_record(endpoint, values, app, listed))
        except msgspec.ValidationError as error:
            refused.append(given)
            broken = f"{app}[{index}]: {field_problem(error, given)}"
            errors.append(MalformedHandoffError(key, broken))
        except MalformedHandoffError as error:
            refused.append(given)
            errors.append(error)
    if errors and not records:
        raise errors[0]
    problems = [HandoffProblem("route_refused", str(error)) for error in errors]
    problems += _expired_weights(endpoint, values, records)
    kept = _recorded(endpoint, refused, {record.route_id for record in records})
    return ReadRoutes((*records, *kept), tuple(problems))


def weight_keys(endpoint_id: UUID, values: HandoffValues) -> list[HandoffKey]:
    """Return the keys of the weights of the listed routes, as far as their sessions are named."""
    key = HandoffKey(endpoint_id, "route_connection_info")
    try:
        apps = decoded(key, values, dict[str, list[Any]])
    except MalformedHandoffError:
        return []
    items = next(iter(apps.values()), [])[:ROUTES_MAX]  # a longer list is refused
    named = [_uuid(underscored(item).get("session_id")) for item in items if isinstance(item, dict)]
    sessions = dict.fromkeys(session_id for session_id in named if session_id is not None)
    return [HandoffKey(endpoint_id, "traffic_ratio", session_id) for session_id in sessions]


def _record(
    endpoint: Endpoint, values: HandoffValues, app: str, listed: _ListedRoute
) -> RouteRecord:
    known = endpoint.routes.get(listed.route_id)
    return RouteRecord(
        route_id=listed.route_id,
        session_id=listed.session_id,
        app=app,
        kernel_host="localhost" if listed.kernel_host is None else listed.kernel_host,
        kernel_port=listed.kernel_port,
        protocol=listed.protocol,
        traffic_ratio=_traffic_ratio(endpoint, values, listed),
        status="running",
        labels={} if known is None else known.labels,  # Backend.AI knows no labels
    )


def _traffic_ratio(endpoint: Endpoint, values: HandoffValues, listed: _ListedRoute) -> float:
    key = HandoffKey(endpoint.endpoint_id, "traffic_ratio", listed.session_id)
    if key in values:
        return decoded(key, values, TrafficRatio)
    known = endpoint.routes.get(listed.route_id)
    return 1.0 if known is None else known.traffic_ratio


def _expired_weights(
    endpoint: Endpoint, values: HandoffValues, records: Sequence[RouteRecord]
) -> Iterator[HandoffProblem]:
    """Yield the missing keys of weights; Backend.AI writes none until a weight is first set."""
    for record in records:
        key = HandoffKey(endpoint.endpoint_id, "traffic_ratio", record.session_id)
        if key not in values and record.traffic_ratio != 1.0:
            kept = f"{MissingHandoffKeyError(key)}; the weight {record.traffic_ratio:g} stays"
            yield HandoffProblem("key_missing", kept)


def _recorded(
    endpoint: Endpoint, refused: Sequence[Mapping[str, Any]], listed: Collection[UUID]
) -> list[RouteRecord]:
    """Return what is recorded of the *refused* routes, each found by its route or its session.

    One that names neither may be any of the recorded routes that are not *listed*: all stay.
    """
    present = [route for route in endpoint.present_routes if route.route_id not in listed]
    names = [(_uuid(given.get("route_id")), _uuid(given.get("session_id"))) for given in refused]
    if (None, None) in names:
        return list(map(record_of, present))
    route_ids = {route_id for route_id, _ in names if route_id is not None}
    sessions = {session_id for route_id, session_id in names if route_id is None}
    return [
        record_of(route)
        for route in present
        if route.route_id in route_ids or route.session_id in sessions
    ]


def _uuid(given: object) -> UUID | None:
    with suppress(msgspec.ValidationError):
        return msgspec.convert(given, UUID)
    return None
