"""Read and write the archive of a log: for each partition a manifest and segment files."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import quote

import msgspec
from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync

from events.archive.errors import DamagedArchiveError, ForeignArchiveError
from events.archive.manifest import ArchiveManifest, Part
from events.archive.segment import RAW_BYTES_MAX, Segment, check, chunks
from events.archive.settings import ArchiveSettings
from events.archive.storage import ArchiveStorage, open_storage
from events.entry.entry_id import END, START, EntryId
from events.entry.entry_line import RawEntry
from events.entry.stored_json import BYTES_MAX

MANIFEST = "manifest.json"

Rescue = Callable[[Segment, DamagedArchiveError], AsyncGenerator[list[RawEntry]]]
"""Yields the entries of a damaged segment that can be read from elsewhere."""

_RESTORE = "restore the file from a copy; `events export --accept-gap` saves the rest"


class State(msgspec.Struct, frozen=True):
    """A manifest, and the version of the file it was read from; None: there is no file yet."""

    manifest: ArchiveManifest
    version: str | None


class Archive:
    """The archive of one deployment's log: `NAMESPACE/PARTITION/` with a manifest and segments.

    Attributes:
        on_damage: Called with the error of each damaged segment, after which a `History`
            continues; None: reading raises the error.
    """

    def __init__(self, storage: ArchiveStorage, namespace: str, settings: ArchiveSettings) -> None:
        self.storage = storage
        self.namespace = namespace
        self.settings = settings
        self.on_damage: Callable[[DamagedArchiveError], None] | None = None

    @classmethod
    def open(cls, settings: ArchiveSettings, namespace: str) -> Self:
        """Return the archive at the settings' location.

        Raises:
            ArchiveError: The settings name no location, or the extra for it is missing.
        """
        return cls(open_storage(settings), namespace, settings)

    async def state(self, partition: int) -> State:
        """Read the current manifest of *partition*, and check its chain.

        Raises:
            ArchiveError: The manifest cannot be read, is damaged, or belongs to another log.
        """
        with self._named(partition, "restore manifest.json from a copy, and delete no file there"):
            found = await self.storage.read_versioned(self._name(partition, MANIFEST), BYTES_MAX)
            if found is None:
                return State(ArchiveManifest(namespace=self.namespace, partition=partition), None)
            try:
                return State(ArchiveManifest.parse(found[0], self.namespace, partition), found[1])
            except ForeignArchiveError as error:
                folder = self.folder(partition)
                raise ForeignArchiveError(f"{folder}: {error}; is it the right place?") from None

    async def add(self, state: State, *parts: Part) -> bool:
        """Append *parts* to the manifest; return False if another writer was first."""
        manifest = state.manifest.with_parts(*parts)
        name = self._name(manifest.partition, MANIFEST)
        return await self.storage.swap(name, manifest.encode(), state.version)

    async def write(
        self, partition: int, segment: Segment, data: bytes, content_sha256: str
    ) -> None:
        """Write a segment's file, read it back and check it; the manifest does not name it yet.

        Raises:
            DamagedArchiveError: The file that was read back differs from what was written.
            ArchiveStorageError: The file cannot be written or read.
        """
        name = self._name(partition, segment.file)
        await self.storage.write(name, data)
        with self._named(partition, "nothing is claimed; look at the disk, and run it again"):
            await run_sync(check, segment, await self._read(partition, segment), content_sha256)

    async def check(self, partition: int, segment: Segment) -> None:
        """Read a whole segment; raise DamagedArchiveError if it differs from the manifest."""
        with self._named(partition, _RESTORE):
            data = await self._read(partition, segment)
            await run_sync(check, segment, data)

    async def sizes(self, partition: int) -> dict[str, int]:
        """Return the bytes of each segment's file, whether or not the manifest names it."""
        sizes = await self.storage.sizes(self._name(partition, ""))
        return {name: size for name, size in sizes.items() if name != MANIFEST}

    async def read(
        self,
        manifest: ArchiveManifest,
        start: EntryId = START,
        end: EntryId = END,
        rescue: Rescue | None = None,
    ) -> AsyncGenerator[list[RawEntry]]:
        """Yield the archived entries from *start* to *end*, both included, in chunks.

        Raises:
            DamagedArchiveError: A file is missing or differs from the manifest, and there is no
                *rescue*; the chunks that were yielded before are whole and in order.
        """
        for segment in manifest.segments:
            if segment.last_id < start or segment.first_id > end:
                continue
            try:
                with self._named(manifest.partition, _RESTORE):
                    data = await self._read(manifest.partition, segment)
                    async for chunk in _in_turn(chunks(segment, data, start, end)):
                        yield chunk
            except DamagedArchiveError as error:
                if rescue is None:
                    raise
                async for chunk in rescue(segment, error):
                    yield chunk

    async def _read(self, partition: int, segment: Segment) -> bytes | None:
        """Return the file of *segment*, if it is not larger than the manifest says."""
        bytes_max = min(segment.stored_bytes, RAW_BYTES_MAX)
        return await self.storage.read(self._name(partition, segment.file), bytes_max)

    def folder(self, partition: int) -> str:
        """Return the path or URL under which the files of *partition* lie."""
        return f"{self.storage.name.rstrip('/')}/{self._name(partition, '')}"

    @contextmanager
    def _named(self, partition: int, to_do: str) -> Iterator[None]:
        """Add to a DamagedArchiveError where the files lie, and what to do."""
        try:
            yield
        except DamagedArchiveError as error:
            raise DamagedArchiveError(f"{self.folder(partition)}: {error}; {to_do}") from None

    def _name(self, partition: int, file: str) -> str:
        # A namespace may hold any characters, also a path that leads out of the folder.
        folder = quote(self.namespace, safe="").replace(".", "%2E")
        return f"{folder}/{partition}/{file}".rstrip("/")


async def _in_turn(source: Iterator[list[RawEntry]]) -> AsyncGenerator[list[RawEntry]]:
    """Yield the chunks of a plain iterator, and let other tasks run after each."""
    for chunk in source:
        yield chunk
        await checkpoint()


def open_archive(settings: ArchiveSettings, namespace: str) -> Archive | None:
    """Return the archive at the settings' location, None if they name no location."""
    return None if settings.location is None else Archive.open(settings, namespace)
