"""Keep equal values of decoded documents once in memory: most routes have the same few."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import EntryId
from projections.route_table.route import Route

VALUES_MAX = 100_000
"""Values that are known at most; then all are forgotten, and known anew."""
_VALUES = ("app", "kernel_host", "kernel_port", "traffic_ratio", "health_reason", "status_reason")
_STAMPS = ("listed_at", "health_at", "started_at", "status_at", "ratio_at")

NONE: dict[str, Any] = {}
"""No labels, or no shares: states are frozen, so that all can have this one."""

_known: dict[object, Any] = {}


def shared(value: Any) -> Any:  # noqa: ANN401 - any value that has a hash
    """Return *value*, or the equal value of the same type that was seen first."""
    if len(_known) >= VALUES_MAX:
        _known.clear()
    return _known.setdefault((type(value), value), value)


def shared_check(check: HealthCheck | None) -> HealthCheck | None:
    """Return the same for a health check, which may have parts without a hash."""
    if check is None:
        return None
    if len(_known) >= VALUES_MAX:
        _known.clear()
    checked: HealthCheck = _known.setdefault(msgspec.json.encode(check), check)
    return checked


def share_values(routes: Iterable[Route], stamps: Iterable[EntryId]) -> None:
    """Give *routes*, which nobody else has yet, the values that equal ones have already.

    A stamp is shared with *stamps* and the other routes alone: further ones rarely have it.
    """
    own = {stamp: stamp for stamp in stamps}
    for route in routes:
        for name in _VALUES:
            value = getattr(route, name)
            if value:  # 0.0 equals -0.0, and is written otherwise
                force_setattr(route, name, shared(value))
        for name in _STAMPS:
            stamp = getattr(route, name)
            force_setattr(route, name, own.setdefault(stamp, stamp))
        if not route.labels:
            force_setattr(route, "labels", NONE)
