"""The build: a read model folded from the log where there is none."""

from events.entry.entry_id import START, EntryId
from events.structured_logger import structured_logger
from projections.read_model.store import ReadModelStore, State
from projections.replay.folding import Folding
from projections.replay.partition_history import Source, check_complete, extent_of
from projections.replay.replay import replay

_log = structured_logger(__name__)


async def build(
    log: Source, store: ReadModelStore[State], folding: Folding[State] | None = None
) -> EntryId:
    """Fold the whole partition into a new generation and make it live, unless another is by then.

    While there is no live generation nothing is acknowledged, so what arrives during the build
    is still pending when it ends; folding it twice changes nothing. A build that is killed leaves
    documents that go away by themselves.

    Args:
        log: The log.
        store: Where the documents go.
        folding: What to begin with, such as a snapshot's states; nothing unless given.

    Returns:
        The entry behind which a new group begins: the last one that was folded, `START` where
        another's build went live, of which it is not known how far it came.

    Raises:
        HistoryMissingError: Entries that the fold needs are gone. Documents made of what is left
            would route by routes that ended, and know nothing of others: none are made.
    """
    # Another build may go live, take acknowledged events, and be lost again while this one reads.
    since = await store.last_change()
    partition = store.partition
    if folding is None:
        folding = Folding(store.projection, partition)
    begin, before = folding.position, folding.appended
    check_complete(partition, begin, await extent_of(log, partition), before)
    generation = await store.new_generation()
    await replay(log, folding)
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
        # What lies before the group begins is nobody's dead letter; it is told here.
        unreadable=folding.undecodable,
        last_entry_id=str(folding.position),
    )
    return folding.position
