"""Upcasters: an old version's payload, read as the next version's."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]


def endpoint_health_check_updated_v1_v2(payload: Payload) -> Payload:
    """Version 2 says the grace; releases before 25.18 knew none, so it is not given."""
    health_check = payload.get("health_check")
    if isinstance(health_check, dict):
        return {**payload, "health_check": {**health_check, "initial_delay": None}}
    return payload


UPCASTERS: MappingProxyType[tuple[str, int], Upcaster] = MappingProxyType(
    {("endpoint_health_check_updated", 1): endpoint_health_check_updated_v1_v2}
)
"""From (wire name, version) one version up."""
