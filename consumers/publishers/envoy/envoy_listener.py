"""Encodes what Envoy listens on, and which requests go to which endpoint."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from consumers.publishers.envoy.envoy_cluster import discovery_source
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.routing_rule import RoutingRule

LISTENER = "routestream"
"""The name of the one listener."""

ROUTES = "routestream"
"""The name of the one route configuration."""

_FILTERS = "type.googleapis.com/envoy.extensions.filters"
_PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"

_RETRY_POLICY = {
    # Only what cannot have reached the model is tried again: a prompt is never answered twice.
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": f"type.googleapis.com/{_PREVIOUS_HOSTS}"},
        }
    ],
    "host_selection_retry_max_attempts": 5,
}


def listener_of(settings: EnvoySettings) -> dict[str, Any]:
    """Return the listener for clients, which asks for its routes apart."""
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "routestream",
        "rds": {"route_config_name": ROUTES, "config_source": discovery_source(settings)},
        "stream_idle_timeout": f"{settings.idle_timeout_s:.3f}s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"},
            }
        ],
    }
    address = {"address": settings.listener_host, "port_value": settings.listener_port}
    return {
        "name": LISTENER,
        "address": {"socket_address": address},
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }


def routes_of(rules: Mapping[UUID, RoutingRule]) -> dict[str, Any]:
    """Return the route configuration: for each host the paths that count there, longest first."""
    by_host: dict[str, list[tuple[str, UUID]]] = {}
    for endpoint_id, rule in rules.items():
        for host in rule.hosts:
            by_host.setdefault(host, []).append((rule.path, endpoint_id))
    return {
        "name": ROUTES,
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            {
                "name": host,
                "domains": [host],
                "retry_policy": _RETRY_POLICY,
                "routes": [
                    _route(path, endpoint_id)
                    for path, endpoint_id in sorted(paths, key=lambda one: (-len(one[0]), one[0]))
                ],
            }
            for host, paths in sorted(by_host.items())
        ],
    }


def _route(path: str, endpoint_id: UUID) -> dict[str, Any]:
    # A model may think for minutes: no timeout of the whole, but the listener's for silence.
    action: dict[str, Any] = {"cluster": str(endpoint_id), "timeout": "0s"}
    if not path:
        return {"match": {"prefix": "/"}, "route": action}
    action["regex_rewrite"] = {
        "pattern": {"regex": f"^{re.escape(path)}/?"},
        "substitution": "/",
    }
    return {"match": {"path_separated_prefix": path}, "route": action}
