"""Keeps the workers of one router equal to the routes of its endpoint that get traffic."""

from time import monotonic
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from consumers.errors import UnreachableProxyError
from consumers.publishers.proxy_ledger import ProxyNotes, Refusal
from consumers.publishers.router.router_api import RefusedWorkerError, RouterApi, RouterWorker
from consumers.publishers.router.router_settings import RouterSettings
from consumers.publishers.router.worker_set import NotOneEndpointError, WorkerSet, worker_set
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.publishers.table_snapshot import TableSnapshot

ADDS_MAX = 16
"""Workers that are added to one router side by side."""

_WAITED_FOR_ADDS_S = 0.5
_AGAIN_FIRST_S = 0.5
_AGAIN_MOST_S = 30.0


class Addition:
    """A worker that is being added, or could not be.

    Attributes:
        scope: Ends the request that runs.
        runs: Whether one does.
        failures: How often it failed in a row.
        again_at: When the next try may begin, by the monotonic clock.
        why: Why it failed last; None before.
    """

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.runs = False
        self.failures = 0
        self.again_at = 0.0
        self.why: str | None = None


class FedRouter:
    """One router, which is asked for its workers again and again: it forgets them at a restart.

    A worker that does not answer holds its addition open: each has a deadline, several run side by
    side, and nothing else waits for them.
    """

    def __init__(
        self, api: RouterApi, endpoint: str, notes: ProxyNotes, settings: RouterSettings
    ) -> None:
        self._api, self._endpoint, self._notes, self._settings = api, endpoint, notes, settings
        self._endpoint_id: UUID | None = None
        self._additions: dict[str, Addition] = {}
        self._added = anyio.Event()

    async def feed(self, feed: SnapshotFeed) -> None:
        """Keep it equal to the feed's newest snapshot until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                snapshot = await feed.after(0)
                sequence = feed.sequence
                try:
                    await self._compare(snapshot, tasks)
                except UnreachableProxyError as error:
                    self._notes.unreachable(str(error))
                    for addition in self._additions.values():
                        addition.again_at = 0.0  # when it is back it has none of them
                with anyio.move_on_after(self._settings.poll_s):
                    await feed.after(sequence)

    async def _compare(self, snapshot: TableSnapshot, tasks: TaskGroup) -> None:
        """Make the router equal to *snapshot*, as far as it can be, and note what it has."""
        try:
            wanted = self._wanted(snapshot)
        except NotOneEndpointError as error:
            self._notes.unreachable(f"{error}; the workers are left as they are")
            return
        present = await self._api.workers()
        if present.keys() != wanted.urls:
            await self._change(present, wanted, tasks)
            self._notes.sent(snapshot.revision)
            present = await self._api.workers()
        self._note(snapshot, present, wanted)

    def _wanted(self, snapshot: TableSnapshot) -> WorkerSet:
        """Return the workers of the endpoint; none once one that was there is destroyed.

        Its addresses may soon be another model's, while a name that was never there may be a typing
        error, for which nobody's workers are removed.
        """
        try:
            wanted = worker_set(snapshot, self._endpoint)
        except NotOneEndpointError:
            if self._endpoint_id is None or self._endpoint_id in snapshot.endpoints:
                raise
            return WorkerSet(self._endpoint_id, frozenset(), ())
        self._endpoint_id = wanted.endpoint_id
        return wanted

    async def _change(
        self, present: dict[str, RouterWorker], wanted: WorkerSet, tasks: TaskGroup
    ) -> None:
        """Remove what is too much, then add what is missing, and wait a little for that."""
        for url in [one for one in self._additions if one not in wanted.urls]:
            self._additions.pop(url).scope.cancel()
        for url in sorted(present.keys() - wanted.urls):
            await self._api.remove(present[url])
        started = []
        for url in sorted(wanted.urls - present.keys()):
            addition = self._additions.setdefault(url, Addition())
            running = sum(one.runs for one in self._additions.values())
            if addition.runs or running >= ADDS_MAX or monotonic() < addition.again_at:
                continue
            addition.runs = True
            started.append(addition)
            tasks.start_soon(self._add, url, addition)
        with anyio.move_on_after(_WAITED_FOR_ADDS_S):
            while any(addition.runs for addition in started):
                await self._added.wait()

    async def _add(self, url: str, addition: Addition) -> None:
        with anyio.CancelScope() as addition.scope:
            try:
                await self._api.add(url, self._settings.add_s)
            except RefusedWorkerError as error:
                addition.failures, addition.why = addition.failures + 1, str(error)
                pause = min(_AGAIN_MOST_S, _AGAIN_FIRST_S * 2.0 ** min(addition.failures, 10))
                addition.again_at = monotonic() + pause
            else:
                addition.failures, addition.why, addition.again_at = 0, None, 0.0
        addition.runs = False
        self._added.set()
        self._added = anyio.Event()

    def _note(
        self, snapshot: TableSnapshot, present: dict[str, RouterWorker], wanted: WorkerSet
    ) -> None:
        refusals = [*wanted.refusals]
        refusals += [
            Refusal(url, "the router's own check calls it unhealthy and gives it no requests")
            for url, worker in sorted(present.items())
            if url in wanted.urls and not worker.is_healthy
        ]
        if present.keys() == wanted.urls:
            self._additions.clear()
            self._notes.sent(snapshot.revision)
            self._notes.acknowledged(snapshot.revision, refusals)
            return
        refusals += [
            Refusal(url, addition.why)
            for url, addition in sorted(self._additions.items())
            if addition.why is not None and url not in present
        ]
        self._notes.refused(refusals)
