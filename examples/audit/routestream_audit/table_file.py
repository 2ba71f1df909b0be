"""A publisher: keeps a file equal to the route table, for a proxy that reads one."""

import os
from pathlib import Path

import anyio
import msgspec

from consumers import (
    ProxyLedger,
    ProxyNotes,
    PublisherDefinition,
    SnapshotFeed,
    TableSnapshot,
    UnreachableProxyError,
    push,
)


def encode(snapshot: TableSnapshot) -> bytes:
    """Return the file for *snapshot*: the revision, and the addresses of each endpoint."""
    addresses = {
        endpoint.state.name or str(endpoint_id): [
            f"{route.kernel_host}:{route.kernel_port}" for route in endpoint.routes
        ]
        for endpoint_id, endpoint in snapshot.endpoints.items()
    }
    content = {"revision": str(snapshot.revision), "endpoints": addresses}
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


class TableFile:
    """The file; it acknowledges a revision once it has been read back."""

    def __init__(self, path: Path, notes: ProxyNotes) -> None:
        self.notes = notes
        self._path = anyio.Path(path)

    async def publish(self, snapshot: TableSnapshot, *, whole: bool) -> None:  # noqa: ARG002 - it is small: always whole
        """Make the file equal to *snapshot*, and write nothing where it is.

        Raises:
            UnreachableProxyError: It cannot be written now.
        """
        content = encode(snapshot)
        try:
            if not await self._path.exists() or await self._path.read_bytes() != content:
                self.notes.sent(snapshot.revision)
                new = self._path.with_suffix(".new")
                await new.write_bytes(content)
                await new.replace(self._path)
        except OSError as error:
            raise UnreachableProxyError(f"{self._path}: {error.strerror}") from error
        self.notes.acknowledged(snapshot.revision)


def missing_setting(_: object) -> str | None:
    """Say what the publisher lacks to run; None for nothing."""
    if os.environ.get("TABLE_FILE"):
        return None
    return "the publisher table-file needs a file to write: set TABLE_FILE"


async def publish(feed: SnapshotFeed, ledger: ProxyLedger, _: object) -> None:
    """Keep the file that `TABLE_FILE` names equal to the table, until cancelled."""
    path = Path(os.environ["TABLE_FILE"])
    await push(feed, TableFile(path, ledger.proxy(str(path))))


TABLE_FILE = PublisherDefinition(
    name="table-file",
    about="keeps the file TABLE_FILE equal to the route table",
    publish=publish,
    missing_setting=missing_setting,
)
