"""Fold events into state: projections, read models, and the reader that a proxy routes by."""

import logging
from typing import TYPE_CHECKING

from events.lazy_names import lazy_names
from projections.errors import (
    AmbiguousEndpointError,
    DamagedSnapshotError,
    DocumentsMissingError,
    EndpointNotFoundError,
    HistoryMissingError,
    NoEventsError,
    NoLiveGenerationError,
    NoSnapshotError,
    NothingKeptError,
    NotSwappedError,
    ProjectionsError,
    SnapshotError,
    TooManyRoutesError,
    UnreadableDocumentError,
    UnreadableGenerationError,
    WrongSnapshotError,
)
from projections.health_state.health_state import HEALTH_STATE
from projections.projection import Projection
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.routing import gets_traffic, is_reachable, routable

if TYPE_CHECKING:
    from projections.read_model.reader import ReaderSettings, RouteTableReader, open_reader
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "projections.read_model.reader": ("ReaderSettings", "RouteTableReader", "open_reader"),
        },
    )

__all__ = [
    "HEALTH_STATE",
    "ROUTE_TABLE",
    "AmbiguousEndpointError",
    "DamagedSnapshotError",
    "DocumentsMissingError",
    "Endpoint",
    "EndpointNotFoundError",
    "HistoryMissingError",
    "NoEventsError",
    "NoLiveGenerationError",
    "NoSnapshotError",
    "NotSwappedError",
    "NothingKeptError",
    "Projection",
    "ProjectionsError",
    "ReaderSettings",
    "Route",
    "RouteTableReader",
    "SnapshotError",
    "TooManyRoutesError",
    "UnreadableDocumentError",
    "UnreadableGenerationError",
    "WrongSnapshotError",
    "gets_traffic",
    "is_reachable",
    "open_reader",
    "routable",
]

# The program that uses this library decides where its log records go.
logging.getLogger(__name__).addHandler(logging.NullHandler())
