"""Folds a group's deliveries into the documents of its projection."""

from collections.abc import Iterable, Sequence
from typing import Generic
from uuid import UUID

import anyio
import anyio.lowlevel

from consumers.runtime.folded_part import (
    Changed,
    Delivered,
    FoldedPart,
    Part,
    deliveries_of,
    parts_of,
)
from consumers.runtime.interruption import HistoryAwaitedError
from consumers.runtime.outcome import Delivery, Outcome, Retry, RetryPolicy, outcome_of
from consumers.runtime.progress import applying, building, note_conflicts
from events.archive.errors import ArchiveError
from events.entry.codec import decode
from events.entry.entry_id import START, EntryId
from events.errors import EventsError, ServerUnavailableError, TrimmedError, first_failure
from events.log.log import EventLog
from events.structured_logger import structured_logger
from projections.errors import WAY_OUT, HistoryMissingError, ProjectionsError
from projections.projection import Projection
from projections.read_model.held_documents import HeldDocuments
from projections.read_model.known_history import KnownHistory
from projections.read_model.store import (
    APPLY_MAX,
    Applied,
    DamagedDocument,
    ReadModelStore,
    State,
    damaged_of,
)
from projections.replay.build import build
from projections.replay.document_repair import mend_documents
from projections.replay.folding import Folding, Wants
from projections.replay.partition_history import Source
from projections.snapshots.snapshot_store import Snapshots

HELD_MAX = 100_000
"""Documents that a projector keeps in memory; beyond that it drops as many as it has to load."""

APPLY_TRIES_MAX = 20
_CONTENDED_RETRY_S = 0.05
_TURN = 100
"""Endpoints that are folded until what a write sends or receives has its turn."""

_HISTORY_MISSING = (HistoryMissingError, TrimmedError, ArchiveError)


class Projector(Generic[State]):
    """Keeps one partition of a read model, together with any number of others of its group.

    It continues from the documents that it holds in memory. If another projector has written one
    of them meanwhile, the apply says so, and that endpoint is folded again from the new document.
    """

    def __init__(
        self,
        log: EventLog,
        projection: Projection[State],
        partition: int,
        policy: RetryPolicy,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._log_of = log
        self._projection = projection
        self._store = ReadModelStore(log.server, log.keys, projection, partition)
        self._policy = policy
        self._snapshots = snapshots
        name = projection.read_model
        self._known = KnownHistory(log.server.client.call, log.keys, partition, name)
        self._known.identity = log.layout.identity
        self._generation = 0
        self._cursor = 0
        self._held: HeldDocuments[State] = HeldDocuments()
        self._log = structured_logger(__name__).bind(group=name, partition=partition)

    async def look(self) -> None:
        """Learn which losses were accepted before it began: it may stand by for long."""
        await self._known.look()

    async def prepare(self) -> EntryId:
        """Find the live generation, or build one from the log."""
        self._held.clear()
        position = START
        try:
            held = await self._known.check()
            self._store.identity = held.identity
            if self._snapshots is not None:
                await self._snapshots.check_history(held)
            while (generation := await self._store.live_generation()) is None:
                with building():
                    position = await build(self._source, self._store, await self._begin())
                self._known.note(position)
        except _HISTORY_MISSING as error:
            await self._known.note_missing(str(error))
            raise HistoryAwaitedError(f"history missing: {error}; {WAY_OUT}") from error
        if self._store.read_model in held.missing:
            self._log.info("history_found", generation=generation)
            await self._known.note_found()
        self._generation = generation
        is_whole = await self._is_whole(await self._store.apply(generation, self._store.read_model))
        return position if is_whole else START

    @property
    def _source(self) -> Source:
        return self._log_of if self._snapshots is None else self._snapshots.source

    async def _begin(self, wants: Wants | None = None) -> Folding[State]:
        if self._snapshots is None:
            return Folding(self._projection, self._store.partition, None, wants)
        return await self._snapshots.newest(self._projection, wants=wants)

    async def process(self, batch: Sequence[Delivery]) -> list[tuple[Delivery, Outcome]]:
        """Fold *batch* and write it; repeat where another projector wrote meanwhile."""
        left = list(batch)
        newest = max(batch, key=lambda delivery: delivery.entry_id)
        self._known.note(newest.entry_id, newest.entry.event_id)
        failed: list[tuple[Delivery, Exception]] = []
        tries = 0
        while left and tries < APPLY_TRIES_MAX:
            tries += 1
            by_endpoint = self._decoded(left, failed)
            await self._load(by_endpoint)
            left = await self._write(list(parts_of(by_endpoint, APPLY_MAX)), failed)
        ended = [
            (delivery, outcome_of(error, delivery.deliveries, self._policy))
            for delivery, error in failed
        ]
        return ended + [(delivery, Retry(_CONTENDED_RETRY_S)) for delivery in left]

    async def idle(self) -> None:
        """Detect that the read model was swapped or has lost documents, and read some of them.

        So a damaged document is found and mended although no event of its endpoint comes.
        """
        if not await self._is_whole(
            await self._store.apply(self._generation, self._store.read_model)
        ):
            return
        self._cursor, page = await self._store.page(self._generation, self._cursor)
        if damaged := damaged_of(page):
            await self._mend(damaged)

    @staticmethod
    def _decoded(
        batch: Sequence[Delivery], failed: list[tuple[Delivery, Exception]]
    ) -> dict[UUID, Delivered]:
        """Return the events of each endpoint; add to *failed* what cannot be read."""
        by_endpoint: dict[UUID, Delivered] = {}
        for delivery in batch:
            try:
                recorded = decode(delivery.entry)
            except EventsError as error:
                failed.append((delivery, error))
            else:
                by_endpoint.setdefault(recorded.event.endpoint_id, []).append((delivery, recorded))
        return by_endpoint

    async def _load(self, wanted: Iterable[UUID]) -> None:
        missing = [endpoint_id for endpoint_id in wanted if endpoint_id not in self._held]
        if not missing:
            return
        self._held.make_room(len(missing), HELD_MAX, frozenset(wanted))
        names = {str(endpoint_id): endpoint_id for endpoint_id in missing}
        stored = await self._store.look_up(self._generation, list(names))
        if damaged := damaged_of(stored.values()):
            await self._mend(damaged)
            await self._load(wanted)
            return
        initial = self._projection.initial
        for name, endpoint_id in names.items():
            match stored.get(name):
                case (revision, state):
                    self._held[endpoint_id] = revision, state
                case _:
                    self._held[endpoint_id] = 0, initial(endpoint_id)

    async def _mend(self, damaged: Sequence[DamagedDocument]) -> None:
        """Have damaged documents folded again: what is folded on top of one would lack events."""
        generation = self._generation
        try:
            with building():
                await mend_documents(self._source, self._store, damaged, self._begin)
        except _HISTORY_MISSING as error:
            raise HistoryAwaitedError(f"history missing: {error}; {WAY_OUT}") from error
        except ProjectionsError as error:
            if generation == self._generation:
                await self._begin_anew(str(error))

    async def _write(
        self, parts: Sequence[Part], failed: list[tuple[Delivery, Exception]]
    ) -> list[Delivery]:
        """Fold and write *parts*, and fold each while the one before it is written.

        Returns the deliveries that have to be folded again, and adds to *failed*.
        """
        left: list[Delivery] = []
        generation = self._generation
        folded = await self._folded(parts[0])
        for place in range(len(parts)):
            later = parts[place + 1 :]
            applied, next_folded = await self._apply(folded, later[0] if later else None)
            note_conflicts(len(applied.conflicts))
            if not await self._is_whole(applied):
                return left + deliveries_of(parts[place:])
            failed += folded.failed
            left += await self._hold(folded.changed, applied)
            if self._generation != generation:
                # The others were folded from documents that no longer exist.
                return left + deliveries_of(later)
            folded = next_folded
        return left

    async def _folded(self, part: Part) -> FoldedPart[State]:
        folded: FoldedPart[State] = FoldedPart()
        for place, (endpoint_id, delivered) in enumerate(part.items(), start=1):
            folded.fold(self._projection, endpoint_id, self._held[endpoint_id], delivered)
            if place % _TURN == 0:
                await anyio.lowlevel.checkpoint()
        return folded

    async def _apply(
        self, folded: FoldedPart[State], following: Part | None
    ) -> tuple[Applied, FoldedPart[State]]:
        """Write *folded*, and fold *following* meanwhile: its endpoints are others."""
        if following is None:
            return await self._applied(folded), FoldedPart()
        applied: list[Applied] = []

        async def apply() -> None:
            applied.append(await self._applied(folded))

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(apply)
                await anyio.lowlevel.checkpoint()
                next_folded = await self._folded(following)
        except ExceptionGroup as group:
            raise first_failure(group) from group
        return applied[0], next_folded

    async def _applied(self, folded: FoldedPart[State]) -> Applied:
        with applying():
            return await self._store.apply(
                self._generation,
                self._store.read_model,
                [changed.change for changed in folded.changed],
                [delivery.entry_id for delivery in folded.unchanged],
                folded.newest_event_id,
            )

    async def _is_whole(self, applied: Applied) -> bool:
        """Return whether the generation is live and complete; otherwise find or build another."""
        if applied.lost:
            await self._begin_anew("documents are missing")
        elif applied.stale:
            self._log.warning("generation_gone", generation=self._generation)
            await self.prepare()
        elif applied.gone:
            # What was read of another history is dropped; what this one has is delivered again.
            raise ServerUnavailableError("the history is not the one that was read")
        return not (applied.lost or applied.stale)

    async def _hold(self, written: Sequence[Changed[State]], applied: Applied) -> list[Delivery]:
        """Hold the newest documents; return the deliveries that have to be folded again."""
        left: list[Delivery] = []
        is_missing = False
        for changed in written:
            change = changed.change
            if change.endpoint not in applied.conflicts:
                self._held[changed.endpoint_id] = (change.revision + 1, changed.state)
                continue
            left += changed.deliveries
            newer = applied.conflicts[change.endpoint]
            stored = None if newer is None else self._store.read(change.endpoint, newer)
            before = self._held.pop(changed.endpoint_id)[1]
            match stored:
                case (revision, state):
                    self._held[changed.endpoint_id] = revision, state
                case None if not self._projection.is_tombstone(before):
                    is_missing = True  # one that is damaged is mended when it is loaded
        if is_missing:
            await self._begin_anew("documents are missing")
        return left

    async def _begin_anew(self, why: str) -> None:
        """Have the read model built again: folding into an incomplete one would make it wrong."""
        await self._retire(self._generation, why)
        await self.prepare()

    async def _retire(self, generation: int, why: str) -> None:
        self._log.error("read_model_lost", generation=generation, why=why)
        await self._store.retire(generation)
