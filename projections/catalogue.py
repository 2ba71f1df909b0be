"""The catalogue: the projections that there are, by what they and their read models are called."""

from types import MappingProxyType
from typing import Any

from projections.health_state.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.route_table.route_table import ROUTE_TABLE

SHIPPED: tuple[Projection[Any], ...] = (ROUTE_TABLE, HEALTH_STATE)

PROJECTIONS = MappingProxyType({projection.name: projection for projection in SHIPPED})
"""Every projection, by the name that a person types."""

READ_MODELS = MappingProxyType({projection.read_model: projection for projection in SHIPPED})
"""Every projection, by what its keys, its group and its positions are called in Redis."""
