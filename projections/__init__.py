"""What the events amount to: folds, read models, and the reader that a proxy routes by."""

import logging

from projections.health_state.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.read_model.reader import ReaderSettings, RouteTableReader, open_reader
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.routing import gets_traffic, is_reachable, routable

__all__ = [
    "HEALTH_STATE",
    "ROUTE_TABLE",
    "Endpoint",
    "Projection",
    "ReaderSettings",
    "Route",
    "RouteTableReader",
    "gets_traffic",
    "is_reachable",
    "open_reader",
    "routable",
]

# A library leaves it to its program what becomes of its log records.
logging.getLogger(__name__).addHandler(logging.NullHandler())
