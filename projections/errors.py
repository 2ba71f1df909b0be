"""The errors of projections and read models; each message says what to do."""

_SHOWN_BYTES = 60


WAY_OUT = (
    "bring it back from the server's file, a replica, an archive or an export; if there is none,"
    " `routestream log accept-loss` goes on without it"
)
"""What to do where a part of the history is missing; the same words wherever that is told."""


class ProjectionsError(Exception):
    """Base class of all errors of projections and read models."""


class TooManyRoutesError(ProjectionsError):
    """An event would make a document follow more routes than it may."""


class UnreadableDocumentError(ProjectionsError):
    """A stored document is not what this release writes."""


class UnreadableGenerationError(ProjectionsError):
    """A value in Redis about a read model's generations is not what this release writes.

    The value is in *field* of the hash *key*, or is *key*'s own where *field* is None.
    """

    def __init__(self, key: str, field: str | None, held: bytes, wanted: str) -> None:
        place = key if field is None else f"field {field} of {key}"
        shown = held[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
        mend = f"DEL '{key}'" if field is None else f"HDEL '{key}' {field}"
        super().__init__(
            f"{place} is {shown!r}, not {wanted}; `redis-cli {mend}` takes it away, and a projector"
            " builds anew what it needs"
        )


class DocumentsMissingError(ProjectionsError):
    """The live generation lacks documents that were written."""


class EndpointNotFoundError(ProjectionsError):
    """No endpoint has that id, an id with that beginning, or that name."""


class AmbiguousEndpointError(ProjectionsError):
    """Several endpoints have that name, or an id with that beginning."""


class NoLiveGenerationError(ProjectionsError):
    """The read model has no live generation: never built, deleted, or being rebuilt."""


class NothingKeptError(ProjectionsError):
    """There is no earlier generation to go back to."""


class NotSwappedError(ProjectionsError):
    """The new generation could not replace the live one, which stays live."""


class SnapshotError(ProjectionsError):
    """A snapshot cannot be used."""


class DamagedSnapshotError(SnapshotError):
    """A snapshot's file is not what was written: cut off, changed, or missing."""


class WrongSnapshotError(SnapshotError):
    """A snapshot is of another log, projection or version, or of a later position."""


class NoSnapshotError(SnapshotError):
    """There is no such snapshot."""


class NoEventsError(ProjectionsError):
    """An endpoint has no events from which a document could be folded."""


class HistoryMissingError(ProjectionsError):
    """Entries that a fold needs are gone: without them its states would be wrong."""
