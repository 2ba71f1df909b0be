"""The comparison: a read model that is live beside an independent fold, at one position."""

from collections.abc import Callable, Collection, Iterable, Mapping
from time import monotonic
from typing import Any
from uuid import UUID

import anyio
import msgspec

from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from events.errors import EventsError
from events.streams.stream_group import read_settled
from projections.errors import HistoryMissingError
from projections.read_model.store import ReadModelStore, no_live_generation
from projections.replay.folding import Folding
from projections.replay.partition_history import Source, find_entries, raw_entries
from projections.replay.raw_entry import recorded_of
from projections.replay.replay import replay

PATIENCE_S = 10.0
"""How long an endpoint may go on changing before it is left undecided."""

_LOOK_EVERY_S = 0.05


class Mismatch(msgspec.Struct, frozen=True):
    """An endpoint whose live document is not what its events make of it.

    Attributes:
        endpoint_id: Which one.
        folded: What its events amount to, None where it has none.
        live: What its live document says, None where it has none that can be read.
    """

    endpoint_id: UUID
    folded: Any
    live: Any


class Comparison(msgspec.Struct, frozen=True):
    """What a comparison found.

    Attributes:
        generation: The live generation that was compared.
        position: All that the group had settled up to here is in what was compared.
        endpoints: How many were compared.
        mismatches: Those that differ.
        undecided: Those whose events the group had not settled in time: nothing is known of them.
        ahead: Those of the mismatches whose live document knows of an entry that the log lacks.
    """

    generation: int
    position: EntryId
    endpoints: int
    mismatches: list[Mismatch]
    undecided: list[UUID]
    ahead: list[UUID]

    @property
    def agrees(self) -> bool:
        """Whether every endpoint was compared, and is the same in both."""
        return not self.mismatches and not self.undecided


async def settled_until(log: Source, partition: int, group: str) -> EntryId:
    """Return up to which entry, inclusive, *group* has settled all; `START` where there is none."""
    stream = log.keys.events(partition)
    return await read_settled(log.server.client.call, stream, group) or START


async def compare(
    log: Source,
    store: ReadModelStore[Any],
    folding: Folding[Any],
    patience_s: float = PATIENCE_S,
    note: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare what is live with *folding*, which is folded on to where the live group stands.

    While events flow there is no moment at which all documents stand at one entry. So each is
    compared at its own version, which names the newest event in it: with the events behind the
    folding's position up to that one folded, too. It counts as different only where the group has
    settled all events of it that either side has, or where the log lacks one that the live side
    has; until then it is looked at again. *note* hears how many live documents were read.

    Raises:
        NoLiveGenerationError: There is nothing to compare with.
    """
    deadline = monotonic() + patience_s
    left: Iterable[UUID] | None = None
    endpoints = 0
    found, ahead = list[Mismatch](), set[UUID]()
    while True:
        generation = await store.live_generation()
        if generation is None:
            raise no_live_generation(store.projection, store.partition)
        floor = await settled_until(log, folding.partition, store.read_model)
        if folding.position < floor:
            await replay(log, folding, floor)
        live = await _live(store, folding, generation, left, note)
        if await store.live_generation() != generation:
            left, found, ahead = None, [], set()
            continue
        if left is None:
            left = folding.states.keys() | live.keys()
            endpoints = len(left)
        newer = await _newer(log, folding, live)
        unequal = [one for one in (_look(folding, live, newer, e) for e in left) if one]
        ahead |= await find_ahead(log, folding.partition, unequal)
        found += (one for one in unequal if _newest(one) <= floor or one.endpoint_id in ahead)
        left = {one.endpoint_id for one in unequal} - {one.endpoint_id for one in found}
        if not left or monotonic() >= deadline:
            return Comparison(generation, floor, endpoints, found, sorted(left), sorted(ahead))
        await anyio.sleep(_LOOK_EVERY_S)


async def _live(
    store: ReadModelStore[Any],
    folding: Folding[Any],
    generation: int,
    endpoints: Iterable[UUID] | None,
    note: Callable[[int], None] | None,
) -> dict[UUID, Any]:
    if endpoints is not None:
        loaded = await store.load(generation, [str(one) for one in endpoints])
        return {state.endpoint_id: state for _, state in loaded.values()}
    wants, live, read = folding.wants, dict[UUID, Any](), 0
    async for page in store.load_pages(generation):
        for _, state in page:
            if wants is None or wants(state.endpoint_id):
                live[state.endpoint_id] = state
        read += len(page)
        if note is not None:
            note(read)
    return live


async def _newer(
    log: Source, folding: Folding[Any], live: Mapping[UUID, Any]
) -> dict[UUID, list[RecordedEvent]]:
    """Return the events that are in a live document, but behind the folding's position."""
    events: dict[UUID, list[RecordedEvent]] = {}
    newest = max((state.version for state in live.values()), default=START)
    if newest <= folding.position:
        return events
    async for chunk in raw_entries(log, folding.partition, folding.position, newest):
        for raw in chunk:
            try:
                recorded = recorded_of(raw, folding.partition)
            except EventsError:
                continue
            state = live.get(recorded.endpoint_id)
            if state is not None and recorded.entry_id <= state.version:
                events.setdefault(recorded.endpoint_id, []).append(recorded)
    return events


def _look(
    folding: Folding[Any],
    live: Mapping[UUID, Any],
    newer: Mapping[UUID, list[RecordedEvent]],
    endpoint_id: UUID,
) -> Mismatch | None:
    one = folding.folded_on(endpoint_id, newer.get(endpoint_id, ()))
    theirs = live.get(endpoint_id)
    return None if one == theirs else Mismatch(endpoint_id, one, theirs)


async def find_ahead(log: Source, partition: int, unequal: Iterable[Mismatch]) -> set[UUID]:
    """Return the endpoints whose live document knows of an entry that the log lacks."""
    newest = {
        one.endpoint_id: one.live.version
        for one in unequal
        if one.live is not None and (one.folded is None or one.folded.version < one.live.version)
    }
    there = await find_entries(log, partition, newest.values())
    return {endpoint_id for endpoint_id, version in newest.items() if version not in there}


def check_not_ahead(partition: int, ahead: Collection[UUID]) -> None:
    """Raise HistoryMissingError where live documents, of *ahead*, have entries that the log lacks.

    What is folded from it would be an older state than what is live.
    """
    if not ahead:
        return
    one = min(ahead)
    have = f"the live document of endpoint {one} has an entry"
    if len(ahead) > 1:
        have = f"{len(ahead)} live documents, one of them of endpoint {one}, have entries"
    raise HistoryMissingError(
        f"partition {partition}: {have} that the log lacks: the stream was deleted, or the server"
        " came back with an older history; what is live was not changed, as only"
        " `replay rebuild --accept-loss` does"
    )


def _newest(mismatch: Mismatch) -> EntryId:
    return max(
        (one.version for one in (mismatch.folded, mismatch.live) if one is not None), default=START
    )
