"""The catalogue: the projections that there are, by their names."""

from types import MappingProxyType
from typing import Any

from projections.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.route_table import ROUTE_TABLE

PROJECTIONS: MappingProxyType[str, Projection[Any]] = MappingProxyType(
    {one.name: one for one in (ROUTE_TABLE, HEALTH_STATE)}
)
"""Every projection, by its name."""
