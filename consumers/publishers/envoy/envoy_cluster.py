"""Encodes one endpoint for Envoy: its cluster, and the routes that share its traffic."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from consumers.publishers.envoy.envoy_resource import config_source
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.integer_weights import integer_weights
from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.routing_rule import called_in_refusals
from consumers.publishers.table_snapshot import PublishedEndpoint
from projections.route_table.route import Route

AFTER_HOLD_S = 5.0
"""How much longer Envoy waits for a response than a request is held."""

_HTTP2 = frozenset({"h2", "grpc"})
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_UNLIMITED = 1_000_000
_THRESHOLDS = {
    # The default limits of 1,024 requests and of 3 retries at a time are less than a model has.
    "max_connections": _UNLIMITED,
    "max_pending_requests": _UNLIMITED,
    "max_requests": _UNLIMITED,
    "max_retries": 1_000,
}


def cluster_name(endpoint: PublishedEndpoint) -> str:
    """Return the name of the endpoint's cluster: its id, which is always a name."""
    return str(endpoint.state.endpoint_id)


def cluster_of(endpoint: PublishedEndpoint, settings: EnvoySettings) -> dict[str, Any]:
    """Return the endpoint's cluster; its routes are asked for apart, as `assignment_of` it."""
    cluster: dict[str, Any] = {
        "name": cluster_name(endpoint),
        "type": "EDS",
        "eds_cluster_config": {"eds_config": discovery_source(settings)},
        "connect_timeout": f"{settings.connect_timeout_s:.3f}s",
        "lb_policy": "ROUND_ROBIN",
        "circuit_breakers": {"thresholds": [_THRESHOLDS]},
        "metadata": {"filter_metadata": {"routestream": {"endpoint": endpoint.state.name or ""}}},
    }
    if _speaks_http2(endpoint):
        cluster["typed_extension_protocol_options"] = {
            _OPTIONS: {
                "@type": f"type.googleapis.com/{_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return cluster


def discovery_source(settings: EnvoySettings) -> dict[str, Any]:
    """Return where Envoy asks for routes and endpoints: here."""
    return config_source(
        settings.cluster_name,
        settings.refresh_delay_ms / 1_000,
        settings.hold_s + AFTER_HOLD_S,
    )


def assignment_of(endpoint: PublishedEndpoint) -> tuple[dict[str, Any], list[Refusal]]:
    """Return the addresses of the endpoint's routes with their weights, and what has none.

    No address at all is a valid assignment: Envoy then answers 503.
    """
    by_address: dict[tuple[str, int], list[Route]] = {}
    refusals = []
    http2 = _speaks_http2(endpoint)
    for route in endpoint.routes:
        try:
            by_address.setdefault(_address(route, http2=http2), []).append(route)
        except ValueError as error:
            subject = f"{called_in_refusals(endpoint.state)}, route {route.route_id}"
            refusals.append(Refusal(subject, str(error)))
    assignment = {
        "cluster_name": cluster_name(endpoint),
        "endpoints": [{"lb_endpoints": list(_lb_endpoints(by_address))}] if by_address else [],
    }
    return assignment, refusals


def _speaks_http2(endpoint: PublishedEndpoint) -> bool:
    """Whether all routes do, also those without traffic: else a drain would change the cluster."""
    protocols = {route.protocol for route in endpoint.state.present_routes}
    return bool(protocols) and protocols <= _HTTP2


def _address(route: Route, *, http2: bool) -> tuple[str, int]:
    """Return the route's address in its one way of writing.

    Raises:
        ValueError: Envoy would refuse the whole endpoint because of it.
    """
    host, port = route.kernel_host, route.kernel_port
    if route.protocol == "tcp":
        raise ValueError("protocol tcp cannot be routed by host or path")
    if route.protocol in _HTTP2 and not http2:
        raise ValueError(
            f"protocol {route.protocol} is not that of the endpoint's other routes; Envoy has one "
            "for a cluster"
        )
    if host is None or port is None:
        raise ValueError("it has no address")
    try:
        address = ip_address(host)
    except ValueError:
        raise ValueError(
            f"kernel_host {host} is no IP address; Envoy resolves no names in endpoints"
        ) from None
    if "%" in host or address.is_unspecified or address.is_multicast:
        raise ValueError(f"kernel_host {host} is no address to connect to")
    return str(address), port


def _lb_endpoints(
    by_address: Mapping[tuple[str, int], Sequence[Route]],
) -> Iterator[dict[str, Any]]:
    """Yield each address once, with the weight of all routes there: Envoy drops the second."""
    ratios = [sum(route.traffic_ratio for route in routes) for routes in by_address.values()]
    weights = integer_weights(ratios) if ratios else []
    for ((host, port), routes), weight in zip(by_address.items(), weights, strict=True):
        metadata: dict[str, Any] = {"routestream": {"route": str(routes[0].route_id)}}
        if routes[0].labels:
            metadata["envoy.lb"] = routes[0].labels
        yield {
            "endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}},
            "load_balancing_weight": weight,
            "metadata": {"filter_metadata": metadata},
        }
