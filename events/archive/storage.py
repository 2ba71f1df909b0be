"""What an archive needs of its storage, and the choice between a folder and a bucket."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from events.archive.errors import NoArchiveError
from events.archive.folder import Folder
from events.archive.settings import ArchiveSettings


class ArchiveStorage(Protocol):
    """Files by name; a name may have slashes. Every method may raise ArchiveStorageError."""

    name: str

    async def read(self, name: str, bytes_max: int) -> bytes | None:
        """Return the file's content, None if there is no such file.

        Raises:
            DamagedArchiveError: It has more than *bytes_max* bytes; it was not read.
        """

    async def write(self, name: str, data: bytes) -> None:
        """Write the whole file; once this returns, a crash does not lose it."""

    async def read_versioned(self, name: str, bytes_max: int) -> tuple[bytes, str] | None:
        """Return the content and its version, None if there is no such file; see `read`."""

    async def swap(self, name: str, data: bytes, seen: str | None) -> bool:
        """Write the file if its version is still *seen*, None for no file; say whether."""

    async def sizes(self, folder: str) -> Mapping[str, int]:
        """Return the bytes of each file in *folder*, by its name without the folder."""


def open_storage(settings: ArchiveSettings) -> ArchiveStorage:
    """Return the storage that the settings name.

    Raises:
        NoArchiveError: The settings name no location.
        ArchiveStorageError: The extra `s3` is missing.
    """
    if settings.location is None:
        raise NoArchiveError
    if settings.is_bucket:
        from events.archive.bucket import Bucket  # noqa: PLC0415 - an extra that may be missing

        return Bucket(settings.location, settings.endpoint_url, settings.region)
    return Folder(Path(settings.location))
