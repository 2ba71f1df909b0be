"""Repair one endpoint's live document: fold it again from the log, and replace it."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from events.structured_logger import structured_logger
from projections.errors import DocumentsMissingError, NoEventsError, NotSwappedError
from projections.read_model.store import (
    DamagedDocument,
    DocumentChange,
    ReadModelStore,
    State,
    Stored,
)
from projections.replay.comparison import Mismatch, check_not_ahead, find_ahead
from projections.replay.folding import Folding, Wants
from projections.replay.partition_history import Source, check_complete, extent_of
from projections.replay.replay import only, replay

_log = structured_logger(__name__)

TRIES_MAX = 20

MENDED_MAX = 10
"""Damaged documents that are mended one by one; each takes a pass over the log."""

Begin = Callable[[Wants], Awaitable[Folding[State]]]
"""Returns a folding of the endpoints wanted, from the newest snapshot on, or from the start."""


async def mend_documents(
    log: Source,
    store: ReadModelStore[State],
    damaged: Sequence[DamagedDocument],
    begin: Begin[State],
) -> None:
    """Fold the endpoints of damaged documents again, each alone, and replace their documents.

    Raises:
        DocumentsMissingError: There are more than `MENDED_MAX`: all is better built anew.
        ProjectionsError: One of them cannot be mended alone; see `repair_document`.
    """
    if len(damaged) > MENDED_MAX:
        raise DocumentsMissingError(f"{len(damaged)} documents are damaged")
    for document in damaged:
        endpoint_id = UUID(document.endpoint)
        folding = await begin(only(endpoint_id))
        revision = await repair_document(log, store, endpoint_id, folding)
        _log.warning("document_mended", endpoint=document.endpoint, revision=revision)


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
            raise await store.not_live()
        held = (await store.look_up(generation, [named])).get(named)
        await replay(log, folding)
        if not accept_loss:
            extent = await extent_of(log, store.partition)
            check_complete(store.partition, begin, extent, before)
        damaged = held if isinstance(held, DamagedDocument) else None
        revision, live = _held(held)
        state = folding.states.get(endpoint_id)
        if state is None:
            has = f", but a document of revision {revision}" if held is not None else ""
            raise NoEventsError(f"endpoint {named} has no events in the log{has}")
        if live == state:
            return None
        if not accept_loss:
            mismatch = Mismatch(endpoint_id, state, live)
            check_not_ahead(store.partition, await find_ahead(log, store.partition, [mismatch]))
        document = store.projection.encode(state, revision + 1)
        replaces = "" if damaged is None else damaged.checksum
        change = DocumentChange(named, revision, document, (), replaces)
        applied = await store.apply(generation, store.read_model, [change])
        if not (applied.stale or applied.lost or applied.conflicts):
            return revision + 1
    raise NotSwappedError(
        f"endpoint {named} was written by others {TRIES_MAX} times meanwhile; try again"
    )


def _held(document: Stored[State] | None) -> tuple[int, State | None]:
    match document:
        case None:
            return 0, None
        case DamagedDocument():
            return document.revision, None
    return document
