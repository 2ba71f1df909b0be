"""The storage of an archive: the folder or the bucket that holds its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from events.archive.errors import NoArchiveError
from events.archive.folder import Folder
from events.archive.settings import ArchiveSettings


class ArchiveStorage(Protocol):
    """Files by name; a name may have slashes. Every method may raise ArchiveStorageError."""

    name: str

    async def read(self, name: str) -> bytes | None:
        """Return the file's content as it lies there, None where there is no such file."""

    async def write(self, name: str, data: bytes) -> None:
        """Write the file as a whole; when this returns, a crash does not lose it."""

    async def read_versioned(self, name: str) -> tuple[bytes, str] | None:
        """Return the content, and what names this very state of it."""

    async def swap(self, name: str, data: bytes, seen: str | None) -> bool:
        """Write the file if it is still in the state *seen*, None for not there; say whether."""

    async def sizes(self, folder: str) -> Mapping[str, int]:
        """Return the names of the files in *folder*, without it, with their bytes."""


def open_storage(settings: ArchiveSettings) -> ArchiveStorage:
    """Return the storage that the settings name.

    Raises:
        NoArchiveError: They name none.
        ArchiveStorageError: The extra `s3` is missing.
    """
    if settings.location is None:
        raise NoArchiveError
    if settings.is_bucket:
        from events.archive.bucket import Bucket  # noqa: PLC0415 - an extra that may be missing

        return Bucket(settings.location, settings.endpoint_url, settings.region)
    return Folder(Path(settings.location))
