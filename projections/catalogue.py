"""Look up every projection, by its own name or by the name of its read model."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from events.catalogue.registry import BY_WIRE_NAME
from events.log.keys import Keys
from events.plugins import PROJECTIONS as ENTRY_POINTS
from events.plugins import Catalogue, Installed, InvalidPluginError
from projections.health_state.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.route_table.route_table import ROUTE_TABLE

SHIPPED: tuple[Projection[Any], ...] = (ROUTE_TABLE, HEALTH_STATE)

_LIKE_A_VERSION = re.compile(r".*-v\d+")


def _after_the_events() -> dict[str, Installed[Projection[Any]]]:
    """Load the event types first: a package with a broken type must not fold the others."""
    _ = BY_WIRE_NAME.installed
    return {}


def _usable(name: str, found: object) -> Projection[Any]:
    """Return the projection that a plugin stands for.

    Raises:
        InvalidPluginError: It is not a projection, or its keys would collide with others.
    """
    if not isinstance(found, Projection):
        raise InvalidPluginError(f"{found!r} is no projections.Projection")
    if found.name != name:
        raise InvalidPluginError(f"its name is {found.name!r}, the entry point's is {name!r}")
    if found.version < 1:
        raise InvalidPluginError(f"version is {found.version}, the least is 1")
    if hasattr(Keys, name) or _LIKE_A_VERSION.fullmatch(name):
        raise InvalidPluginError(f"the name {name!r} would mix its keys with others")
    return found


PROJECTIONS: Catalogue[Projection[Any]] = Catalogue(
    ENTRY_POINTS,
    {projection.name: projection for projection in SHIPPED},
    _usable,
    _after_the_events,
)
"""Every projection, by the name that a person types."""


class _ByReadModel(Mapping[str, Projection[Any]]):
    """The projections by read model; a lookup loads no more plugins than it has to."""

    def __getitem__(self, read_model: str) -> Projection[Any]:
        for projection in PROJECTIONS.values():
            if projection.read_model == read_model:
                return projection
        raise KeyError(read_model)

    def __iter__(self) -> Iterator[str]:
        return (projection.read_model for projection in PROJECTIONS.values())

    def __len__(self) -> int:
        return len(PROJECTIONS)


READ_MODELS: Mapping[str, Projection[Any]] = _ByReadModel()
"""Every projection, by the name that its keys, group and positions have in Redis."""
