"""Compare a live read model with an independent fold of the log."""

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
from projections.read_model.store import ReadModelStore
from projections.read_model.tombstones import is_forgettable
from projections.replay.folding import Folding
from projections.replay.partition_history import Source, extent_of, find_entries, raw_entries
from projections.replay.raw_entry import recorded_of
from projections.replay.replay import replay

PATIENCE_S = 10.0
"""Seconds for which an endpoint may keep changing before it is left undecided."""

_COMPARE_EVERY_S = 0.05


class Mismatch(msgspec.Struct, frozen=True):
    """An endpoint whose live document differs from the state that its events fold to.

    Attributes:
        endpoint_id: The endpoint.
        folded: The state folded from its events, None where it has none.
        live: The state in its live document, None where it has none that can be read.
    """

    endpoint_id: UUID
    folded: Any
    live: Any


class Comparison(msgspec.Struct, frozen=True):
    """The result of a comparison.

    Attributes:
        generation: The live generation that was compared.
        position: The entry up to which the group had settled all; these entries were compared.
        endpoints: The number of endpoints compared.
        mismatches: The endpoints that differ.
        undecided: Endpoints whose events the group did not settle in time: nothing is known of
            them.
        ahead: Mismatched endpoints whose live document contains an entry that the log lacks.
    """

    generation: int
    position: EntryId
    endpoints: int
    mismatches: list[Mismatch]
    undecided: list[UUID]
    ahead: list[UUID]

    @property
    def agrees(self) -> bool:
        """Whether every endpoint was compared and is the same on both sides."""
        return not self.mismatches and not self.undecided


async def settled_until(log: Source, partition: int, group: str) -> EntryId:
    """Return the entry up to which, inclusive, *group* has settled all; `START` for none."""
    stream = log.keys.events(partition)
    return await read_settled(log.server.client.call, stream, group) or START


async def compare(
    log: Source,
    store: ReadModelStore[Any],
    folding: Folding[Any],
    patience_s: float = PATIENCE_S,
    note: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare the live documents with *folding*, after folding on to the live group's position.

    While events arrive, the documents are never all at the same entry. So each is compared at its
    own version, which names the newest event in it: the events after the folding's position up to
    that one are folded as well. An endpoint counts as different only where the group has settled
    all its events that either side has, or where the log lacks one that the live side has; until
    then it is compared again. *note* is called with the number of live documents read so far.

    Raises:
        NoLiveGenerationError: There is no live generation to compare with.
    """
    deadline = monotonic() + patience_s
    remaining: Iterable[UUID] | None = None
    endpoints = 0
    found, ahead = list[Mismatch](), set[UUID]()
    while True:
        generation = await store.live_generation()
        if generation is None:
            raise await store.not_live()
        floor = await settled_until(log, folding.partition, store.read_model)
        if folding.position < floor:
            await replay(log, folding, floor)
        live = await _live(store, folding, generation, remaining, note)
        if await store.live_generation() != generation:
            remaining, found, ahead = None, [], set()
            continue
        if remaining is None:
            remaining = folding.states.keys() | live.keys()
            endpoints = len(remaining)
        newer = await _newer(log, folding, live)
        compared = (_mismatch(folding, live, newer, endpoint_id) for endpoint_id in remaining)
        first = (await extent_of(log, folding.partition)).first
        unequal = [each for each in compared if each and not _is_forgotten(folding, each, first)]
        ahead |= await find_ahead(log, folding.partition, unequal)
        found += (each for each in unequal if _newest(each) <= floor or each.endpoint_id in ahead)
        remaining = {each.endpoint_id for each in unequal} - {each.endpoint_id for each in found}
        if not remaining or monotonic() >= deadline:
            undecided = sorted(remaining)
            return Comparison(generation, floor, endpoints, found, undecided, sorted(ahead))
        await anyio.sleep(_COMPARE_EVERY_S)


async def _live(
    store: ReadModelStore[Any],
    folding: Folding[Any],
    generation: int,
    endpoints: Iterable[UUID] | None,
    note: Callable[[int], None] | None,
) -> dict[UUID, Any]:
    if endpoints is not None:
        loaded = await store.load(generation, [str(endpoint_id) for endpoint_id in endpoints])
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
    """Return the events that are in a live document, but after the folding's position."""
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


def _mismatch(
    folding: Folding[Any],
    live: Mapping[UUID, Any],
    newer: Mapping[UUID, list[RecordedEvent]],
    endpoint_id: UUID,
) -> Mismatch | None:
    folded = folding.folded_on(endpoint_id, newer.get(endpoint_id, ()))
    live_state = live.get(endpoint_id)
    return None if folded == live_state else Mismatch(endpoint_id, folded, live_state)


def _is_forgotten(folding: Folding[Any], mismatch: Mismatch, first: EntryId | None) -> bool:
    """Whether one side has only forgotten an endpoint that the other still has a tombstone of."""
    folded, live = mismatch.folded, mismatch.live
    if folded is not None and live is not None:
        return False
    return is_forgettable(folding.projection, live if folded is None else folded, first)


async def find_ahead(log: Source, partition: int, unequal: Iterable[Mismatch]) -> set[UUID]:
    """Return the endpoints whose live document contains an entry that the log lacks."""
    newest = {
        each.endpoint_id: each.live.version
        for each in unequal
        if each.live is not None
        and (each.folded is None or each.folded.version < each.live.version)
    }
    found = await find_entries(log, partition, newest.values())
    return {endpoint_id for endpoint_id, version in newest.items() if version not in found}


def check_not_ahead(partition: int, ahead: Collection[UUID]) -> None:
    """Raise HistoryMissingError where live documents, of *ahead*, have entries that the log lacks.

    A fold of such a log gives an older state than the live one.
    """
    if not ahead:
        return
    example = min(ahead)
    have = f"the live document of endpoint {example} has an entry"
    if len(ahead) > 1:
        have = f"{len(ahead)} live documents, one of them of endpoint {example}, have entries"
    raise HistoryMissingError(
        f"partition {partition}: {have} that the log lacks: the stream was deleted, or the server"
        " came back with an older history; what is live was not changed, as only"
        " `replay rebuild --accept-loss` does"
    )


def _newest(mismatch: Mismatch) -> EntryId:
    return max(
        (state.version for state in (mismatch.folded, mismatch.live) if state is not None),
        default=START,
    )
