"""The archive: closed segments of the log, kept as files outside of Redis."""

from events.archive.archive import Archive, open_archive
from events.archive.errors import (
    ArchiveError,
    BusyArchiveError,
    DamagedArchiveError,
    ForeignArchiveError,
    GapError,
    NoArchiveError,
    PlaceError,
)
from events.archive.settings import ArchiveSettings

__all__ = [
    "Archive",
    "ArchiveError",
    "ArchiveSettings",
    "BusyArchiveError",
    "DamagedArchiveError",
    "ForeignArchiveError",
    "GapError",
    "NoArchiveError",
    "PlaceError",
    "open_archive",
]
