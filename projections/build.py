"""The build: a read model folded from the log where there is none."""

from uuid import UUID

import structlog

from events.entry_id import START, EntryId
from events.log import EventLog, readable
from projections.store import ReadModelStore, State

_log = structlog.get_logger()


async def build(log: EventLog, store: ReadModelStore[State]) -> EntryId:
    """Fold the whole partition into a new generation and make it live, unless another is by then.

    While there is no live generation nothing is acknowledged, so what arrives during the build
    is still pending when it ends; folding it twice changes nothing.

    Returns:
        The entry behind which a new group begins: the last one that was folded, `START` where
        another's build went live, of which it is not known how far it came.
    """
    # Another build may go live, take acknowledged events, and be lost again while this one reads.
    since = await store.last_change()
    generation = await store.new_generation()
    states: dict[UUID, State] = {}
    last = START
    projection = store.projection
    async for entries in log.read_entries(store.partition):
        for entry in entries:
            recorded = readable(entry)
            if recorded is None:
                continue
            endpoint_id = recorded.endpoint_id
            state = states.get(endpoint_id) or projection.initial(endpoint_id)
            try:
                states[endpoint_id] = projection.evolve(state, recorded)
            except Exception as error:  # noqa: BLE001 - one event that cannot be folded stops nobody
                _log.error("event_not_folded", entry_id=str(entry.entry_id), error=str(error))
        last = entries[-1].entry_id
    documents = [(str(one), projection.encode(state, 1)) for one, state in states.items()]
    await store.write(generation, documents)
    if not await store.go_live(generation, None, since):
        await store.discard(generation)
        return START
    _log.info(
        "generation_built",
        projection=projection.name,
        partition=store.partition,
        generation=generation,
        endpoints=len(documents),
        last_entry_id=str(last),
    )
    return last
