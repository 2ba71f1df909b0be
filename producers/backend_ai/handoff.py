"""Read the hand-off: Redis keys in which Backend.AI passes what its events do not carry.

A manager writes the keys (database 2, time to live one hour) before it records that an endpoint's
route list changed. Field names may have underscores or hyphens: Backend.AI's own reader (release
25.15) accepts both.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar
from uuid import UUID

import msgspec

from events.catalogue.health_check import HealthCheck, health_check_from
from events.catalogue.route import Host, Port, Protocol, RouteRecord, TrafficRatio
from events.entry import codec
from events.entry.stored_json import UNREADABLE
from producers.errors import ProducersError
from projections.route_table.endpoint import Endpoint

KeyKind = Literal[
    "route_connection_info", "health_check_enabled", "health_check_config", "traffic_ratio"
]

Read = TypeVar("Read")

_UUID = rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_KEY = re.compile(
    rb"endpoint\.(?P<endpoint>" + _UUID + rb")\."
    rb"(?:session\.(?P<session>" + _UUID + rb")\.(?P<ratio>traffic_ratio)"
    rb"|(?P<kind>route_connection_info|health_check_enabled|health_check_config))"
)


class HandoffKey(msgspec.Struct, frozen=True):
    """One hand-off key; only the key of a traffic ratio has a *session_id*."""

    endpoint_id: UUID
    kind: KeyKind
    session_id: UUID | None = None

    @classmethod
    def parse(cls, key: bytes) -> Self | None:
        """Parse a key's name; None where it is not a hand-off key."""
        parts = _KEY.fullmatch(key)
        if parts is None:
            return None
        return msgspec.convert(
            {
                "endpoint_id": parts["endpoint"].decode(),
                "kind": (parts["kind"] or parts["ratio"]).decode(),
                "session_id": parts["session"] and parts["session"].decode(),
            },
            cls,
        )

    def __str__(self) -> str:
        session = "" if self.session_id is None else f"session.{self.session_id}."
        return f"endpoint.{self.endpoint_id}.{session}{self.kind}"


HandoffValues = Mapping[HandoffKey, bytes]
"""The values of the keys, without those that are missing or have expired."""


class MalformedHandoffError(ProducersError):
    """A hand-off key is missing or is not what Backend.AI writes; the message names key and field.

    The route list that needs the key is refused as a whole: recorded without the broken route, it
    would withdraw a replica that nobody withdrew.
    """

    def __init__(self, key: HandoffKey, problem: str) -> None:
        super().__init__(f"{key}: {problem}")


class _ListedRoute(msgspec.Struct, frozen=True):
    session_id: UUID
    route_id: UUID
    kernel_host: Host | None
    kernel_port: Port
    protocol: Protocol = "http"


def health_check(endpoint: Endpoint, values: HandoffValues) -> HealthCheck | None:
    """Return how the endpoint's routes are checked, None where they are not checked.

    Releases before 25.12 write no key about it: then the health check of *endpoint* stays. The
    configuration remains after the check is switched off, so it counts only while that is on.

    Raises:
        MalformedHandoffError: The check is neither on nor off, or it is on and the configuration
            is missing or breaks a limit.
    """
    key = HandoffKey(endpoint.endpoint_id, "health_check_enabled")
    enabled = values.get(key)
    if enabled is None:
        return endpoint.health_check
    if enabled not in {b"true", b"false"}:
        raise MalformedHandoffError(key, f"{enabled[:32]!r} is neither true nor false")
    if enabled == b"false":
        return None
    key = HandoffKey(endpoint.endpoint_id, "health_check_config")
    given = _underscored(_json(key, values, dict[str, Any]))
    try:
        return health_check_from(given)
    except msgspec.ValidationError as error:
        raise MalformedHandoffError(key, _problem(error, given)) from None


def routes(endpoint: Endpoint, values: HandoffValues) -> tuple[RouteRecord, ...]:
    """Return the endpoint's routes; an empty list is valid.

    Backend.AI lists the routes for each app, and its reader takes only the first app: the others
    list the same replicas at other ports. A listed route runs. Its weight is the value of its key;
    without the key it is the weight in *endpoint*, or 1.0 for a new route, so that an expired key
    resets no weight.

    Raises:
        MalformedHandoffError: The list is missing, or one of its routes or weights is broken.
    """
    key = HandoffKey(endpoint.endpoint_id, "route_connection_info")
    apps = _json(key, values, dict[str, list[dict[str, Any]]])
    app, items = next(iter(apps.items()), ("", []))
    records = []
    for index, item in enumerate(items):
        given = _underscored(item)
        try:
            listed = msgspec.convert(given, _ListedRoute)
        except msgspec.ValidationError as error:
            raise MalformedHandoffError(key, f"{app}[{index}]: {_problem(error, given)}") from None
        records.append(_record(endpoint, values, app, listed))
    return tuple(records)


def _record(
    endpoint: Endpoint, values: HandoffValues, app: str, listed: _ListedRoute
) -> RouteRecord:
    return RouteRecord(
        route_id=listed.route_id,
        session_id=listed.session_id,
        app=app,
        kernel_host="localhost" if listed.kernel_host is None else listed.kernel_host,
        kernel_port=listed.kernel_port,
        protocol=listed.protocol,
        traffic_ratio=_traffic_ratio(endpoint, values, listed),
        status="running",
    )


def _traffic_ratio(endpoint: Endpoint, values: HandoffValues, listed: _ListedRoute) -> float:
    key = HandoffKey(endpoint.endpoint_id, "traffic_ratio", listed.session_id)
    if key in values:
        return _json(key, values, TrafficRatio)
    known = endpoint.routes.get(listed.route_id)
    return 1.0 if known is None else known.traffic_ratio


def _json(key: HandoffKey, values: HandoffValues, kind: type[Read]) -> Read:
    value = values.get(key)
    if value is None:
        raise MalformedHandoffError(key, "the key is not there, or has expired")
    try:
        return msgspec.json.decode(value, type=kind)
    except UNREADABLE as error:
        raise MalformedHandoffError(key, f"{value[:64]!r}: {error}") from None


def _underscored(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in given.items()}


def _problem(error: msgspec.ValidationError, given: Mapping[str, Any]) -> str:
    return str(codec.invalid_event(error, given)).removeprefix("value: ")
