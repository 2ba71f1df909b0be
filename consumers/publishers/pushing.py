"""Keeps one proxy equal to the newest snapshot, for proxies that have to be written to."""

from math import inf
from time import monotonic
from typing import Protocol

import anyio

from consumers.errors import UnreachableProxyError
from consumers.publishers.proxy_ledger import ProxyNotes
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.publishers.table_snapshot import TableSnapshot

RECONCILE_S = 30.0
"""Seconds between two comparisons of the whole proxy with the table."""

_RETRY_FIRST_S = 0.1
_RETRY_MOST_S = 5.0


class PushedProxy(Protocol):
    """A proxy that is written to."""

    @property
    def notes(self) -> ProxyNotes:
        """Where it is noted what the proxy was given and has acknowledged."""

    async def publish(self, snapshot: TableSnapshot, *, whole: bool) -> None:
        """Make the proxy equal to *snapshot*, and write nothing where it is; note what it did.

        *whole* asks to compare with all that the proxy has; otherwise it may be trusted to have
        what the last call has left there.

        Raises:
            UnreachableProxyError: It cannot be written to now; the next call will be *whole*.
        """


async def push(feed: SnapshotFeed, proxy: PushedProxy, *, reconcile_s: float = RECONCILE_S) -> None:
    """Publish each newest snapshot to *proxy* until cancelled.

    All of it is compared at the start, every *reconcile_s* seconds, and after any failure.
    """
    sequence, whole_at, failures = 0, -inf, 0
    while True:
        with anyio.move_on_after(max(0.0, whole_at + reconcile_s - monotonic())):
            await feed.after(sequence)
        snapshot = await feed.after(0)
        sequence = feed.sequence
        whole = monotonic() >= whole_at + reconcile_s
        try:
            await proxy.publish(snapshot, whole=whole)
        except UnreachableProxyError as error:
            proxy.notes.unreachable(str(error))
            failures, whole_at = failures + 1, -inf
            await anyio.sleep(min(_RETRY_MOST_S, _RETRY_FIRST_S * 2 ** min(failures, 10)))
        else:
            failures, whole_at = 0, monotonic() if whole else whole_at
