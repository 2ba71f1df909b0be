"""What the events amount to: folds, read models, and the reader that a proxy routes by."""

from projections.endpoint import Endpoint
from projections.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.reader import ReaderSettings, RouteTableReader, open_reader
from projections.route import Route
from projections.route_table import ROUTE_TABLE
from projections.routing import gets_traffic, is_reachable, routable

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
