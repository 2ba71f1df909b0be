"""The archive: closed segments of the log, kept as files outside of Redis."""

from events.archive.archive import Archive, open_archive
from events.archive.settings import ArchiveSettings

__all__ = ["Archive", "ArchiveSettings", "open_archive"]
