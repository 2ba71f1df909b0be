"""Fold one partition's history in memory, and decode only the events that count."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from events.catalogue.event import Event
from events.entry.entry_id import START, EntryId
from events.entry.recorded import RecordedEvent
from events.entry.stored_json import UNREADABLE
from events.errors import EventsError, UnknownEventTypeError
from events.structured_logger import structured_logger
from projections.projection import Projection
from projections.replay.deferred_entries import GatheredEntries, NewestEntries
from projections.replay.partition_history import RawEntry
from projections.replay.raw_entry import USUAL_FIELDS, payload_of, recorded_of, subject_of

NEWEST_MAX = 100_000
"""Items held back at most: about 40 MB of undecoded events, or 100 MB of gathered routes."""

_LOGGED_MAX = 10
_WANTED_MAX = 100_000

_Kind = tuple[bytes, bytes]
"""A type's name on the wire, and its version."""

State = TypeVar("State")
Wants = Callable[[UUID], bool]

_log = structured_logger(__name__)


class Base(msgspec.Struct, Generic[State], frozen=True):
    """Where a folding begins; by default with no states, before the first entry.

    Attributes:
        states: Endpoint -> state.
        revisions: Endpoint -> revision of the document from which its state was read.
        position: The entry up to which all are in the states.
        appended: Entries that were ever appended up to there, None where that is not known.
    """

    states: Mapping[UUID, State] = {}
    revisions: Mapping[UUID, int] = {}
    position: EntryId = START
    appended: int | None = 0


class LeftOut(msgspec.Struct, frozen=True):
    """Entries that a folding took and that are in no state.

    Attributes:
        unreadable: Entries of a known type that cannot be read.
        failed: Events that could not be folded.
        unknown: Type name -> number of entries, for types that are not known here.
    """

    unreadable: int = 0
    failed: int = 0
    unknown: Mapping[str, int] = {}


class Folding(Generic[State]):
    """Folds entries into states; entries may come in any order.

    For types of which only the newest event counts, the folding holds events back, since a newer
    one may replace them: most are checked, but never folded. Events that the projection gathers are
    held in a compact form. `flush` folds what is held back.

    Attributes:
        base: Where it began.
        states: Endpoint -> state, of the endpoints wanted; complete after a `flush`.
        revisions: Endpoint -> revision of the document from which its first state was read.
        changed: The endpoints whose states have changed since the last `take_changed`.
        position: The last entry taken.
        entries: The number of entries taken.
        unknown: Type name -> number of entries, for types that are not known here.
        undecodable: Entries of a known type that cannot be read.
        failed: Events that could not be folded.
        contested: Endpoints that must be folded again, `alone`, and then `settled`, because an
            event failed: either an unreadable one had replaced older ones, or one reached a limit
            that it may not reach when folded in order.
    """

    def __init__(
        self,
        projection: Projection[State],
        partition: int,
        base: Base[State] | None = None,
        wants: Wants | None = None,
    ) -> None:
        base = base or Base()
        self.projection = projection
        self.partition = partition
        self.states: dict[UUID, State] = dict(base.states)
        self.revisions = base.revisions
        self.changed: set[UUID] = set()
        self.position = base.position
        self.entries = 0
        self.unknown: Counter[str] = Counter()
        self.undecodable = 0
        self.failed = 0
        self.contested: set[UUID] = set()
        self.base = base
        self._appended_before = base.appended
        self._in_order: set[str] = set()
        self._hold_back = True
        self._newest: dict[_Kind, NewestEntries] = {}
        self._gathered: dict[_Kind, GatheredEntries[State]] = {}
        self._hold()
        self.wants = wants
        self._wanted: dict[str, bool] = {}

    def _hold(self) -> None:
        projection, in_order = self.projection, self._in_order
        for by_route, kinds in (
            (True, projection.newest_counts),
            (False, projection.newest_of_endpoint),
        ):
            for kind in kinds:
                self._newest[_kind_of(kind)] = NewestEntries(kind, in_order, by_route=by_route)
        if projection.gathering is not None:
            gathering = projection.gathering(in_order)
            self._gathered[_kind_of(gathering.kind)] = GatheredEntries(gathering)

    def take(self, raw: Sequence[RawEntry]) -> None:
        """Fold the entries *raw*, the next part of the history, or hold them back."""
        if not raw:
            return
        deferred: dict[_Kind, NewestEntries | GatheredEntries[State]] = {}
        if self._hold_back:
            deferred |= self._newest
            deferred |= self._gathered
        waiting: dict[_Kind, list[RawEntry]] = {kind: [] for kind in deferred}
        wants = self.wants
        for entry in raw:
            flat = entry[1]
            if wants is not None and not self._is_wanted(flat, wants):
                continue
            same_kind = waiting.get((flat[1], flat[3])) if flat[::2] in USUAL_FIELDS else None
            if same_kind is None:
                self._fold(entry)
            else:
                same_kind.append(entry)
        for kind, entries in waiting.items():
            for entry in deferred[kind].hold(entries):
                self._fold(entry)
        self.entries += len(raw)
        self.position = EntryId.parse(raw[-1][0])
        if self.held > NEWEST_MAX:
            self.flush()

    def flush(self) -> None:
        """Fold what is held back."""
        for newest in self._newest.values():
            for endpoint, entry in newest.taken():
                if not self._fold(entry):
                    with suppress(ValueError):
                        self.contested.add(UUID(endpoint))
        for gathered in self._gathered.values():
            for endpoint_id, change in gathered.taken():
                self._fold_gathered(endpoint_id, change)

    def alone(self) -> "Folding[State]":
        """Return a folding of only the contested endpoints, from the base on, in order."""
        contested, states = frozenset(self.contested), self.base.states
        begin = {each: states[each] for each in contested if each in states}
        alone = Folding(
            self.projection,
            self.partition,
            Base(states=begin, position=self.base.position),
            contested.__contains__,
        )
        alone._hold_back = False
        return alone

    def settled(self, alone: "Folding[State]") -> None:
        """Take over the states of the contested endpoints from *alone*."""
        for endpoint_id in self.contested:
            self._in_order.add(str(endpoint_id))
            if endpoint_id in alone.states:
                self.states[endpoint_id] = alone.states[endpoint_id]
            else:
                self.states.pop(endpoint_id, None)
        self.changed |= self.contested & self.states.keys()
        self.failed += alone.failed
        self.contested = set()

    @property
    def left_out(self) -> LeftOut:
        """What was not folded."""
        return LeftOut(self.undecodable, self.failed, dict(self.unknown))

    @property
    def appended(self) -> int | None:
        """Entries that were ever appended up to its position, None where that is not known."""
        before = self._appended_before
        return None if before is None else before + self.entries

    def begin_here(self) -> None:
        """Make the current states the base: endpoints contested later are refolded from here."""
        states = dict(self.states)
        self.base = Base(states, self.revisions, self.position, self.appended)

    @property
    def held(self) -> int:
        """How much is held back now, in the unit of `NEWEST_MAX`."""
        gathered = sum(map(len, self._gathered.values()))
        return gathered + sum(map(len, self._newest.values()))

    def take_changed(self) -> set[UUID]:
        """Return the endpoints whose states have changed since the last call."""
        changed, self.changed = self.changed, set()
        return changed

    def folded_on(self, endpoint_id: UUID, events: Iterable[RecordedEvent]) -> State | None:
        """Return the state of an endpoint with *events* folded in; the folding does not change."""
        state, projection = self.states.get(endpoint_id), self.projection
        for recorded in events:
            with suppress(Exception):  # as in the fold itself, an event that fails is skipped
                before = projection.initial(endpoint_id) if state is None else state
                state = projection.evolve(before, recorded)
        return state

    def _fold_gathered(self, endpoint_id: UUID, change: Callable[[State], State]) -> None:
        try:
            self._change(endpoint_id, change)
        except Exception:  # noqa: BLE001 - folded alone, one by one, the failing event shows
            self.contested.add(endpoint_id)

    def _fold_recorded(self, recorded: RecordedEvent) -> None:
        endpoint_id, evolve = recorded.endpoint_id, self.projection.evolve
        if self.wants is not None and not self.wants(endpoint_id):
            return
        try:
            self._change(endpoint_id, lambda before: evolve(before, recorded))
        except Exception as error:  # noqa: BLE001 - one failing event must not stop the others
            self._fail(recorded, error)

    def _change(self, endpoint_id: UUID, change: Callable[[State], State]) -> None:
        before = self.states.get(endpoint_id)
        after = change(self.projection.initial(endpoint_id) if before is None else before)
        if after is not before:
            self.states[endpoint_id] = after
            self.changed.add(endpoint_id)

    def _fail(self, recorded: RecordedEvent, error: Exception) -> None:
        if self._hold_back and str(recorded.endpoint_id) not in self._in_order:
            self.contested.add(recorded.endpoint_id)
            return
        self.failed += 1
        if self.failed <= _LOGGED_MAX:
            _log.error("event_not_folded", entry_id=str(recorded.entry_id), error=str(error))

    def _fold(self, entry: RawEntry) -> bool:
        """Fold one entry; return whether it could be read."""
        try:
            recorded = recorded_of(entry, self.partition)
        except UnknownEventTypeError as error:
            self.unknown[error.name] += 1
            return False
        except EventsError:
            self.undecodable += 1
            return False
        self._fold_recorded(recorded)
        return True

    def _is_wanted(self, flat: Sequence[bytes], wants: Wants) -> bool:
        """Return whether the entry is wanted; an unreadable one is, so that the fold counts it."""
        try:
            endpoint = subject_of(payload_of(flat)).endpoint_id
        except UNREADABLE:
            return True
        wanted = self._wanted.get(endpoint)
        if wanted is None:
            try:
                wanted = wants(UUID(endpoint))
            except ValueError:
                wanted = True
            if len(self._wanted) >= _WANTED_MAX:
                self._wanted.clear()
            self._wanted[endpoint] = wanted
        return wanted

    def documents(self, endpoints: Iterable[UUID]) -> Iterator[tuple[str, bytes]]:
        """Yield the documents of *endpoints*, each with the revision after its first state's."""
        encode, revisions = self.projection.encode, self.revisions
        for endpoint_id in endpoints:
            revision = revisions.get(endpoint_id, 0) + 1
            yield str(endpoint_id), encode(self.states[endpoint_id], revision)


def _kind_of(kind: type[Event]) -> _Kind:
    return kind.wire_name.encode(), b"%d" % kind.version
