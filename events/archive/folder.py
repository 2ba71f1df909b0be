"""Store the files of an archive on a file system."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync

from events.archive.errors import ArchiveStorageError, BusyArchiveError
from events.archive.whole_file import check_size, replacing, sync_folder
from events.entry.stored_json import BYTES_MAX

LOCK: Final = ".lock"

_LOCK_TIMEOUT_S = 20.0
_LOCK_AGAIN_S = 0.01


class Folder:
    """Files below *root*; a write syncs a temporary file, renames it and syncs its folder."""

    def __init__(self, root: Path) -> None:
        self.name = str(root)
        self._root = root

    async def read(self, name: str, bytes_max: int) -> bytes | None:
        """See `ArchiveStorage.read`."""
        return await run_sync(self._read, name, bytes_max)

    async def write(self, name: str, data: bytes) -> None:
        """See `ArchiveStorage.write`."""
        await run_sync(self._write, name, data)

    async def read_versioned(self, name: str, bytes_max: int) -> tuple[bytes, str] | None:
        """See `ArchiveStorage.read_versioned`."""
        data = await self.read(name, bytes_max)
        return None if data is None else (data, _version(data))

    async def swap(self, name: str, data: bytes, seen: str | None) -> bool:
        """See `ArchiveStorage.swap`; a file lock covers both the comparison and the write."""
        return await run_sync(self._swap, name, data, seen)

    async def sizes(self, folder: str) -> Mapping[str, int]:
        """See `ArchiveStorage.sizes`."""
        return await run_sync(partial(self._sizes, folder))

    def _read(self, name: str, bytes_max: int = BYTES_MAX) -> bytes | None:
        path = self._root / name
        try:
            with path.open("rb") as file:
                check_size(path.name, os.fstat(file.fileno()).st_size, bytes_max)
                # A file that was just written must be read from the disk, not from the page cache.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed("read", path, error) from error

    def _write(self, name: str, data: bytes) -> None:
        path = self._root / name
        try:
            _make_folders(path.parent)
            with replacing(path) as file:
                file.write(data)
        except OSError as error:
            raise _failed("write", path, error) from error

    def _swap(self, name: str, data: bytes, seen: str | None) -> bool:
        with self._locked(name):
            present = self._read(name)
            if (None if present is None else _version(present)) != seen:
                return False
            self._write(name, data)
        return True

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        path = self._root / f"{name}{LOCK}"
        try:
            _make_folders(path.parent)
            file = path.open("ab")
        except OSError as error:
            raise _failed("lock", path, error) from error
        with file:
            deadline = time.monotonic() + _LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise BusyArchiveError(
                            f"{path} has been locked by another run for {_LOCK_TIMEOUT_S:g} s"
                        ) from None
                    time.sleep(_LOCK_AGAIN_S)
                except OSError as error:
                    raise _failed("lock", path, error) from error
            yield

    def _sizes(self, folder: str) -> Mapping[str, int]:
        path = self._root / folder
        try:
            with os.scandir(path) as listed:
                return {
                    item.name: item.stat().st_size
                    for item in listed
                    if item.is_file() and not item.name.endswith(LOCK)
                }
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _failed("list", path, error) from error


def _version(data: bytes) -> str:
    return sha256(data).hexdigest()


def _make_folders(path: Path) -> None:
    """Make the folder and its missing parents; sync the parent of each new one."""
    missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _failed(what: str, path: Path, error: OSError) -> ArchiveStorageError:
    return ArchiveStorageError(f"cannot {what} {path}: {(error.strerror or str(error)).lower()}")
