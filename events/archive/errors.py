"""Errors of the archive; each message is a sentence that an operator can act on."""

from events.entry.entry_id import EntryId
from events.errors import EventsError


class ArchiveError(EventsError):
    """Base class of all errors of the archive."""


class NoArchiveError(ArchiveError):
    """A command needs an archive, but no location for one is set."""

    def __init__(self) -> None:
        super().__init__(
            "no archive is set: give --location, ROUTESTREAM_ARCHIVE_LOCATION or the setting"
            " archive.location, a folder or s3://BUCKET/PREFIX"
        )


class ArchiveStorageError(ArchiveError):
    """The folder or the bucket cannot be read or written now; nothing more was archived."""


class DamagedArchiveError(ArchiveError):
    """A file of the archive is missing, or differs from what was written."""


class ForeignArchiveError(ArchiveError):
    """The archive belongs to another log, or this log has an older history."""


class BusyArchiveError(ArchiveError):
    """Other runs write to the same archive without end."""


class GapError(ArchiveError):
    """Entries were trimmed from the stream before they were archived: they are lost."""

    def __init__(self, partition: int, after: EntryId, first: EntryId | None, count: int) -> None:
        until = "the end of the stream" if first is None else f"{first}, the first entry left,"
        super().__init__(
            f"partition {partition}: {count} entries after {after} and before {until} were trimmed"
            " or deleted before they were archived; --accept-gap continues after them, and the"
            " manifest records that for ever"
        )
        self.partition = partition
        self.after = after
        self.first = first
        self.count = count
