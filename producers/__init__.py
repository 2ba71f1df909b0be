"""Record facts: turn commands and observations into events of the log."""

import logging
from typing import TYPE_CHECKING

from events.lazy_names import lazy_names
from producers.errors import (
    BacklogError,
    ContendedEndpointError,
    EndpointDestroyedError,
    EndpointExistsError,
    InvalidModelDefinitionError,
    InvalidModelFolderError,
    InvalidRuntimeVariantsError,
    ModelFolderError,
    ModelFolderGoneError,
    ModelFolderNotFoundError,
    ModelFolderUnreachableError,
    NameTakenError,
    NoRolloutError,
    NothingToShareError,
    ProducersError,
    RouteEndedError,
    RouteExistsError,
    UnknownEndpointError,
    UnknownRevisionError,
    UnknownRouteError,
)

if TYPE_CHECKING:
    from producers.endpoints.endpoint_service import EndpointService, Recorded
    from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
    from producers.model_definitions.model_folder import read_model_definition
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "producers.endpoints.endpoint_service": ("EndpointService", "Recorded"),
            "producers.model_definitions.model_definition_settings": ("ModelDefinitionSettings",),
            "producers.model_definitions.model_folder": ("read_model_definition",),
        },
    )

__all__ = [
    "BacklogError",
    "ContendedEndpointError",
    "EndpointDestroyedError",
    "EndpointExistsError",
    "EndpointService",
    "InvalidModelDefinitionError",
    "InvalidModelFolderError",
    "InvalidRuntimeVariantsError",
    "ModelDefinitionSettings",
    "ModelFolderError",
    "ModelFolderGoneError",
    "ModelFolderNotFoundError",
    "ModelFolderUnreachableError",
    "NameTakenError",
    "NoRolloutError",
    "NothingToShareError",
    "ProducersError",
    "Recorded",
    "RouteEndedError",
    "RouteExistsError",
    "UnknownEndpointError",
    "UnknownRevisionError",
    "UnknownRouteError",
    "read_model_definition",
]

# The program that uses this library decides where its log records go.
logging.getLogger(__name__).addHandler(logging.NullHandler())
