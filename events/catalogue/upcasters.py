"""Upcasters: each converts the payload of an old version to the next version's."""

from events.catalogue.event import Payload


def endpoint_created_v1_v2(payload: Payload) -> Payload:
    """Version 2 adds the owner and the labels; before, nothing was known of them."""
    return {**payload, "owner": None, "labels": {}}


def endpoint_created_v2_v3(payload: Payload) -> Payload:
    """Version 3 adds to what a health check says; before, each asked over HTTP, and so it reads."""
    return _asked_over_http(payload)


def endpoint_health_check_updated_v1_v2(payload: Payload) -> Payload:
    """Version 2 adds the grace; releases before 25.18 had none, so it is null."""
    health_check = payload.get("health_check")
    if isinstance(health_check, dict):
        return {**payload, "health_check": {**health_check, "initial_delay": None}}
    return payload


def endpoint_health_check_updated_v2_v3(payload: Payload) -> Payload:
    """Version 3 adds to what a health check says; before, each asked over HTTP, and so it reads."""
    return _asked_over_http(payload)


def _asked_over_http(payload: Payload) -> Payload:
    health_check = payload.get("health_check")
    if isinstance(health_check, dict):
        return {**payload, "health_check": {**health_check, "kind": "http"}}
    return payload


def route_terminating_v1_v2(payload: Payload) -> Payload:
    """Version 2 adds the reason and the time to drain; before, nothing was said of them."""
    return {**payload, "reason": None, "drain_s": None}


def route_failed_v1_v2(payload: Payload) -> Payload:
    """Version 2 adds what the route was doing; before, no failure counted as a retry."""
    return {**payload, "during": None}
