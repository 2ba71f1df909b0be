"""Upcasters: an old version's payload, read as the next version's."""

from events.catalogue.event import Payload


def endpoint_health_check_updated_v1_v2(payload: Payload) -> Payload:
    """Version 2 says the grace; releases before 25.18 knew none, so it is not given."""
    health_check = payload.get("health_check")
    if isinstance(health_check, dict):
        return {**payload, "health_check": {**health_check, "initial_delay": None}}
    return payload
