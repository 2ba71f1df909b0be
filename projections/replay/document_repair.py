"""Repair one endpoint's live document: fold it again from the log, and replace it."""

from uuid import UUID

from projections.errors import NoEventsError, NotSwappedError
from projections.read_model.store import DocumentChange, ReadModelStore, State, no_live_generation
from projections.replay.comparison import Mismatch, check_not_ahead, find_ahead
from projections.replay.folding import Folding
from projections.replay.partition_history import Source, check_complete, extent_of
from projections.replay.replay import replay

TRIES_MAX = 20


async def repair_document(
    log: Source,
    store: ReadModelStore[State],
    endpoint_id: UUID,
    folding: Folding[State],
    *,
    accept_loss: bool = False,
) -> int | None:
    """Replace the document of one endpoint by the one from *folding*; return its revision.

    Returns None, and writes nothing, where the document is already correct.

    Raises:
        NoEventsError: The endpoint has no events to fold.
        NoLiveGenerationError: There is no live generation to repair.
        HistoryMissingError: Entries that the fold needs are missing, or the document contains one
            that the log lacks, and *accept_loss* is false.
        NotSwappedError: Other writers changed the document at each try.
    """
    named, begin, before = str(endpoint_id), folding.position, folding.appended
    for _ in range(TRIES_MAX):
        generation = await store.live_generation()
        if generation is None:
            raise no_live_generation(store.projection, store.partition)
        loaded = await store.load(generation, [named])
        await replay(log, folding)
        if not accept_loss:
            extent = await extent_of(log, store.partition)
            check_complete(store.partition, begin, extent, before)
        revision, live = loaded.get(named, (0, None))
        state = folding.states.get(endpoint_id)
        if state is None:
            held = f", but a document of revision {revision}" if named in loaded else ""
            raise NoEventsError(f"endpoint {named} has no events in the log{held}")
        if live == state:
            return None
        if not accept_loss:
            mismatch = Mismatch(endpoint_id, state, live)
            check_not_ahead(store.partition, await find_ahead(log, store.partition, [mismatch]))
        document = store.projection.encode(state, revision + 1)
        change = DocumentChange(named, revision, document, ())
        applied = await store.apply(generation, store.read_model, [change])
        if not (applied.stale or applied.lost or applied.conflicts):
            return revision + 1
    raise NotSwappedError(
        f"endpoint {named} was written by others {TRIES_MAX} times meanwhile; try again"
    )
