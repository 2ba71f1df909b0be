"""Store the files of an archive in an S3-compatible service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from events.archive.errors import ArchiveStorageError
from events.archive.whole_file import check_size

try:
    import obstore
    from obstore import exceptions as failures
    from obstore.store import S3Store
except ImportError as error:
    raise ArchiveStorageError(
        "an archive in s3://... needs the extra s3: pip install 'routestream[s3]'"
    ) from error

_TIMEOUT_S = 60
_RETRIES_MAX = 5
_RETRY_TIMEOUT_S = 120
_REGION = "us-east-1"
"""The region that S3-compatible storage other than AWS's expects if none is set."""


class Bucket:
    """Objects of the bucket under the prefix of `s3://BUCKET/PREFIX`.

    The manifest is written with If-Match and If-None-Match, which the storage must support.
    """

    def __init__(self, location: str, endpoint_url: str | None, region: str | None) -> None:
        parts = urlsplit(location)
        self.name = location
        options: dict[str, str] = {}
        if endpoint_url is not None:
            options = {"endpoint": endpoint_url, "region": _REGION}
        if region is not None:
            options["region"] = region
        try:
            self._store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                client_options={
                    "timeout": timedelta(seconds=_TIMEOUT_S),
                    "allow_http": endpoint_url is not None and endpoint_url.startswith("http://"),
                },
                retry_config={
                    "max_retries": _RETRIES_MAX,
                    "retry_timeout": timedelta(seconds=_RETRY_TIMEOUT_S),
                },
                **options,  # type: ignore[arg-type]
            )
        except failures.BaseError as error:
            raise ArchiveStorageError(f"cannot open {location}: {_reason(error)}") from error

    async def read(self, name: str, bytes_max: int) -> bytes | None:
        """See `ArchiveStorage.read`."""
        found = await self.read_versioned(name, bytes_max)
        return None if found is None else found[0]

    async def write(self, name: str, data: bytes) -> None:
        """See `ArchiveStorage.write`."""
        with self._translated("write", name):
            await obstore.put_async(self._store, name, data)

    async def read_versioned(self, name: str, bytes_max: int) -> tuple[bytes, str] | None:
        """See `ArchiveStorage.read_versioned`."""
        with self._translated("read", name):
            try:
                found = await obstore.get_async(self._store, name)
                check_size(name.rpartition("/")[2], found.meta["size"], bytes_max)
                data = await found.bytes_async()
            except (FileNotFoundError, failures.NotFoundError):
                return None
            return bytes(data), found.meta["e_tag"] or ""

    async def swap(self, name: str, data: bytes, seen: str | None) -> bool:
        """See `ArchiveStorage.swap`."""
        with self._translated("write", name):
            try:
                mode = "create" if seen is None else {"e_tag": seen}
                await obstore.put_async(self._store, name, data, mode=mode)  # type: ignore[arg-type]
            except (failures.AlreadyExistsError, failures.PreconditionError):
                return False
        return True

    async def sizes(self, folder: str) -> Mapping[str, int]:
        """See `ArchiveStorage.sizes`."""
        sizes: dict[str, int] = {}
        with self._translated("list", folder):
            async for page in obstore.list(self._store, f"{folder}/"):
                sizes |= {item["path"].rpartition("/")[2]: item["size"] for item in page}
        return sizes

    @contextmanager
    def _translated(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except (failures.BaseError, OSError, ValueError) as error:
            raise ArchiveStorageError(
                f"cannot {what} {self.name}/{name}: {_reason(error)}"
            ) from error


def _reason(error: Exception) -> str:
    """Return the first line of the message: the other lines show the library's internals."""
    return str(error).strip().partition("\n")[0]
