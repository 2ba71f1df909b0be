"""The archive: closed segments of the log, kept as files outside of Redis."""

from events.archive.archive import Archive, open_archive
from events.archive.errors import (
    ArchiveError,
    ArchiveStorageError,
    BusyArchiveError,
    DamagedArchiveError,
    ForeignArchiveError,
    GapError,
    NoArchiveError,
)
from events.archive.settings import ArchiveSettings

__all__ = [
    "Archive",
    "ArchiveError",
    "ArchiveSettings",
    "ArchiveStorageError",
    "BusyArchiveError",
    "DamagedArchiveError",
    "ForeignArchiveError",
    "GapError",
    "NoArchiveError",
    "open_archive",
]
