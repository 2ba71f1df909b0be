"""Maps each known failure to the exit code of the program."""

from consumers.cli.events.text_search import SearchError
from consumers.cli.terminal.messages import (
    EXIT_FAILED,
    EXIT_NO_CONNECTION,
    EXIT_NOT_FOUND,
    EXIT_USAGE,
)
from consumers.errors import (
    ConsumersError,
    MissingSettingError,
    TakenNameError,
    UnknownGroupError,
    UnknownPublisherError,
)
from consumers.settings import InvalidSettingsError
from events.archive.errors import NoArchiveError
from events.errors import (
    EventsError,
    InvalidEventError,
    InvalidExpressionError,
    InvalidPositionError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.streams.foreign_stream import NoStreamError
from events.transfer.export_file import UnreadableExportError
from events.transfer.playback import SameLogError
from producers.backend_ai.capture import UnreadableCaptureError
from producers.errors import (
    InvalidModelDefinitionError,
    InvalidModelFolderError,
    InvalidRuntimeVariantsError,
    ModelFolderGoneError,
    ModelFolderNotFoundError,
    ModelFolderUnreachableError,
    ProducersError,
    UnknownEndpointError,
    UnknownRevisionError,
    UnknownRouteError,
)
from projections.errors import (
    AmbiguousEndpointError,
    EndpointNotFoundError,
    NoEventsError,
    NoLiveGenerationError,
    NoSnapshotError,
    NothingKeptError,
    ProjectionsError,
)

_EXIT_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    (
        (ServerUnavailableError, UncertainAppendError, ModelFolderUnreachableError),
        EXIT_NO_CONNECTION,
    ),
    (
        (
            UnknownEndpointError,
            UnknownRevisionError,
            UnknownRouteError,
            EndpointNotFoundError,
            ModelFolderGoneError,
            ModelFolderNotFoundError,
            NoEventsError,
            NoLiveGenerationError,
            NoSnapshotError,
            NothingKeptError,
            NoStreamError,
        ),
        EXIT_NOT_FOUND,
    ),
    (
        (
            InvalidEventError,
            InvalidExpressionError,
            InvalidPositionError,
            SearchError,
            InvalidModelDefinitionError,
            InvalidModelFolderError,
            InvalidRuntimeVariantsError,
            NoArchiveError,
            InvalidSettingsError,
            MissingSettingError,
            SameLogError,
            UnreadableCaptureError,
            UnreadableExportError,
            TakenNameError,
            UnknownGroupError,
            UnknownPublisherError,
            AmbiguousEndpointError,
        ),
        EXIT_USAGE,
    ),
    ((EventsError, ProjectionsError, ProducersError, ConsumersError), EXIT_FAILED),
)


def exit_code_of(failure: Exception) -> int | None:
    """Return the exit code of a known failure; None for any other, which is a bug."""
    return next((code for kinds, code in _EXIT_CODES if isinstance(failure, kinds)), None)
