"""The catalogue: the projections that there are, by what they and their read models are called."""

from types import MappingProxyType
from typing import Any

from projections.health_state.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.route_table.route_table import ROUTE_TABLE

PROJECTIONS: MappingProxyType[str, Projection[Any]] = MappingProxyType(
    {one.name: one for one in (ROUTE_TABLE, HEALTH_STATE)}
)
"""Every projection, by the name that a person types."""

READ_MODELS: MappingProxyType[str, Projection[Any]] = MappingProxyType(
    {one.read_model: one for one in PROJECTIONS.values()}
)
"""Every projection, by what its keys, its group and its positions are called in Redis."""
