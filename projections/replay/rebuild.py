"""Rebuild a read model: fold a new generation, compare it with the live one, and swap."""

from collections.abc import Callable
from time import monotonic
from typing import Any, Generic, Literal

import msgspec

from events.entry.entry_id import START, EntryId
from projections.errors import (
    HistoryMissingError,
    NoLiveGenerationError,
    NothingKeptError,
    NotSwappedError,
)
from projections.read_model.generations import WRITE_CHUNK
from projections.read_model.store import ReadModelStore, State
from projections.replay.comparison import Comparison, check_not_ahead, compare
from projections.replay.folding import Base, Folding, LeftOut
from projections.replay.partition_history import PartitionExtent, Source, check_complete, extent_of
from projections.replay.replay import replay

SWAP_TRIES_MAX = 20
"""Tries to swap; each first folds the new entries, and fails if the group settled newer ones."""

PAUSE_AFTER = 3
"""Tries before the group is asked to wait: an idle group never has to wait."""

PAUSE_S = 0.05
"""Longest wait of the group at the first pause; each further pause is twice as long."""

PAUSE_S_MAX = 0.8

COMPARE_PATIENCE_S = 5.0

_DELTA_MAX = 200
_MOVED = "another generation went live, or was taken away, meanwhile"

Phase = Literal["fold", "write", "compare", "swap"]
Note = Callable[[Phase, int, int, EntryId], None]
"""Called with the progress: the phase, how much of it is done, of how much, at which entry."""


class Rebuilt(msgspec.Struct, frozen=True):
    """The result of a rebuild.

    Attributes:
        before: The generation that was live before, None where there was none.
        generation: The generation that is live now.
        position: The entry up to which it was folded when it went live.
        entries: The number of entries folded.
        endpoints: The number of its documents.
        comparison: How it differs from the one before, None where there was none.
        swap_tries: How often the swap was tried.
        swap_s: Seconds that the live group waited at most, during the last try.
        left_out: What was not folded.
    """

    before: int | None
    generation: int
    position: EntryId
    entries: int
    endpoints: int
    comparison: Comparison | None
    swap_tries: int
    swap_s: float
    left_out: LeftOut = LeftOut()


class Rebuild(Generic[State]):
    """Builds a generation of one read model in one partition, and swaps it in.

    Until the swap the live generation is not touched. The documents of a killed rebuild expire;
    the next rebuild starts from the beginning.
    """

    def __init__(
        self,
        log: Source,
        store: ReadModelStore[State],
        folding: Folding[State],
        *,
        accept_loss: bool = False,
        note: Note | None = None,
    ) -> None:
        self._log = log
        self._store = store
        self._folding = folding
        self._accept_loss = accept_loss
        self._note = note or (lambda *_: None)
        self._is_kept = False

    async def run(self) -> Rebuilt:
        """Fold, write, compare, swap.

        Raises:
            HistoryMissingError: Entries that the fold needs are missing, or live documents contain
                some that the log lacks, and *accept_loss* is false.
            NotSwappedError: The new generation could not go live, and was discarded.
        """
        seen = await self._store.live_generation()
        await self._fold_all()
        generation = await self._store.new_generation()
        try:
            await self._write_all(generation)
            return await self._change_over(generation, seen)
        except (NotSwappedError, HistoryMissingError):
            await self._store.discard(generation)
            raise

    async def go_back(self, generation: int) -> Rebuilt:
        """Bring the kept *generation* up to date, and make it live again."""
        self._is_kept = True
        seen = await self._store.live_generation()
        await self._fold_all()
        return await self._change_over(generation, seen)

    async def _fold_all(self) -> None:
        folding = self._folding
        begin = folding.position, folding.appended
        extent = await self._check_complete(*begin)
        count = extent.count_after(folding.appended)

        def note(_: Folding[Any]) -> None:
            self._note("fold", folding.entries, count, folding.position)

        await replay(self._log, folding, extent.last, note)
        await self._check_complete(*begin)
        folding.begin_here()

    async def _check_complete(self, after: EntryId, before: int | None) -> PartitionExtent:
        """Check before and after reading: entries may also be trimmed while they are read."""
        extent = await extent_of(self._log, self._store.partition)
        if not self._accept_loss:
            check_complete(self._store.partition, after, extent, before)
        return extent

    async def _write_all(self, generation: int) -> None:
        folding = self._folding
        folding.take_changed()
        endpoints = list(folding.states)
        for at in range(0, len(endpoints), WRITE_CHUNK):
            documents = list(folding.documents(endpoints[at : at + WRITE_CHUNK]))
            await self._store.write(generation, documents)
            self._note("write", at + len(documents), len(endpoints), folding.position)

    async def _change_over(self, generation: int, seen: int | None) -> Rebuilt:
        comparison = None
        if seen is not None:
            comparison = await self._compare(generation)
            if not self._accept_loss:
                check_not_ahead(self._store.partition, comparison.ahead)
        for tries in range(1, SWAP_TRIES_MAX + 1):
            self._note("swap", 0, 0, self._folding.position)
            took_s = await self._swap(generation, seen, _pause_s(tries))
            if took_s is not None:
                return self._rebuilt(generation, seen, comparison, tries, took_s)
        why = f"its group was faster {SWAP_TRIES_MAX} times; try again with less load"
        raise _not_swapped(generation, why)

    async def _compare(self, generation: int) -> Comparison:
        log, store, folding = self._log, self._store, self._folding

        def note(done: int) -> None:
            self._note("compare", done, len(folding.states), folding.position)

        note(0)
        try:
            return await compare(log, store, folding, COMPARE_PATIENCE_S, note)
        except NoLiveGenerationError:
            raise _not_swapped(generation, _MOVED) from None

    async def _swap(self, generation: int, seen: int | None, pause_s: float) -> float | None:
        """Fold the new entries and swap; return how long that took, None to try again."""
        folding, store = self._folding, self._store
        paused_at = monotonic()
        if pause_s:
            await store.pause(generation, pause_s)
        # Contested endpoints are folded again from there on.
        begin = folding.base.position, folding.base.appended
        await replay(self._log, folding)
        await self._check_complete(*begin)
        changed = folding.take_changed()
        documents = list(folding.documents(changed))
        if len(documents) > _DELTA_MAX:
            await store.write(generation, documents, is_kept=self._is_kept)
            return None
        began_at = paused_at if pause_s else monotonic()
        count = len(folding.states)
        outcome = await store.swap(generation, seen, folding.position, documents, count)
        if outcome == "live":
            return monotonic() - began_at
        if outcome == "ahead":
            folding.changed |= changed
            return None
        why = _MOVED if outcome == "moved" else f"it has not all of its {count} documents"
        raise _not_swapped(generation, why)

    def _rebuilt(
        self,
        generation: int,
        seen: int | None,
        comparison: Comparison | None,
        tries: int,
        took_s: float,
    ) -> Rebuilt:
        folding = self._folding
        return Rebuilt(
            before=seen,
            generation=generation,
            position=folding.position,
            entries=folding.entries,
            endpoints=len(folding.states),
            comparison=comparison,
            swap_tries=tries,
            swap_s=took_s,
            left_out=folding.left_out,
        )


def _pause_s(tries: int) -> float:
    pauses = tries - PAUSE_AFTER
    return min(PAUSE_S * 2.0 ** (pauses - 1), PAUSE_S_MAX) if pauses > 0 else 0.0


def _not_swapped(generation: int, why: str) -> NotSwappedError:
    return NotSwappedError(f"generation {generation} was not swapped in: {why}")


async def rollback(
    log: Source, store: ReadModelStore[State], *, note: Note | None = None
) -> Rebuilt:
    """Go back to the generation that was live before, with the entries since then folded in.

    Raises:
        NothingKeptError: No generation is kept, or some of its documents are missing.
        HistoryMissingError: Entries since then are missing.
        NotSwappedError: The kept generation could not go live.
    """
    kept = await store.kept()
    if kept is None:
        raise NothingKeptError(
            f"read model {store.read_model}: no earlier generation is kept; a rebuild keeps"
            " the one that it replaces"
        )
    states, revisions = {}, {}
    async for revision, state in store.load_all(kept.generation):
        endpoint_id = state.endpoint_id  # type: ignore[attr-defined]
        states[endpoint_id], revisions[endpoint_id] = state, revision
    if len(states) < kept.documents:
        raise NothingKeptError(
            f"read model {store.read_model}: generation {kept.generation} is kept, but has"
            f" only {len(states)} of its {kept.documents} documents; build a new one with"
            f" `routestream replay rebuild {store.projection.name}`"
        )
    position = kept.since.before() if kept.since > START else START
    base = Base(states=states, revisions=revisions, position=position, appended=None)
    folding = Folding(store.projection, store.partition, base)
    return await Rebuild(log, store, folding, note=note).go_back(kept.generation)
