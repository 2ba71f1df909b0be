"""Build a read model from the log where it has no live generation."""

import msgspec

from events.entry.entry_id import START, EntryId
from events.structured_logger import structured_logger
from projections.read_model.store import ReadModelStore, State
from projections.replay.folding import Folding
from projections.replay.partition_history import Source, check_complete, extent_of
from projections.replay.replay import replay

_log = structured_logger(__name__)


async def build(
    log: Source,
    store: ReadModelStore[State],
    folding: Folding[State] | None = None,
    *,
    accept_loss: bool = False,
) -> EntryId:
    """Fold the whole partition into a new generation, and make it live unless another went live.

    Without a live generation nothing is acknowledged, so what arrives during the build is still
    pending when it ends; folding it twice changes nothing. The documents of a killed build expire.

    Args:
        log: The log.
        store: Where the documents are written.
        folding: Where the fold begins, such as a snapshot's states; None: with nothing.
        accept_loss: Fold what is left where entries are missing: a person decided so.

    Returns:
        The entry after which a new group begins: the last one that was folded, or `START` where
        another build went live, because it is not known how far that one came.

    Raises:
        HistoryMissingError: Entries that the fold needs are missing. No documents are made from
            the others: they would send traffic to ended routes, and lack existing ones.
    """
    # While this build reads, another may go live, acknowledge events, and be lost again.
    since = await store.last_change()
    partition = store.partition
    if folding is None:
        folding = Folding(store.projection, partition)
    begin, before = folding.position, folding.appended
    if not accept_loss:
        check_complete(partition, begin, await extent_of(log, partition), before)
    generation = await store.new_generation()
    await replay(log, folding)
    if not accept_loss:
        check_complete(partition, begin, await extent_of(log, partition), before)
    await store.write(generation, folding.documents(folding.states))
    endpoints = len(folding.states)
    if not await store.go_live(generation, None, since, count=endpoints):
        await store.discard(generation)
        return START
    _log.info(
        "generation_built",
        projection=store.projection.name,
        partition=partition,
        generation=generation,
        endpoints=endpoints,
        # Entries before the group begins never become dead letters, so they are told here.
        **msgspec.structs.asdict(folding.left_out),
        last_entry_id=str(folding.position),
    )
    return folding.position
