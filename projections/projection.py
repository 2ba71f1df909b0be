"""Define a read model as pure functions: a projection."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

from events.catalogue.event import Event
from events.entry.entry_id import END
from events.entry.recorded import RecordedEvent
from events.entry.stored_json import BYTES_MAX, any_json, check_size, problem_of
from projections.errors import UnreadableDocumentError

State = TypeVar("State")

_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * 20
"""What each document has that holds a stamp of more than 64 bits; few others have it."""


class Gathering(Protocol[State]):
    """Events of one type of which many count, kept for each route in a compact form."""

    @property
    def kind(self) -> type[Event]:
        """The type of the events."""

    def __len__(self) -> int:
        """How much it keeps: the number of routes plus the number of distinct contents."""

    def add(self, entry_id: bytes, payload: bytes) -> bool:
        """Add the next event of the log; return False if its endpoint is excluded.

        Raises:
            msgspec.DecodeError: The codec could not read the payload.
        """

    def taken(self) -> Iterator[tuple[UUID, Callable[[State], State]]]:
        """Yield each endpoint with the function that folds its events; forget the events."""


@dataclass(frozen=True)
class Projection(Generic[State]):
    """The state that is kept of each endpoint, and how each event changes it.

    For every projection any order and any number of deliveries of the same events must lead to
    the same state. A state is a frozen msgspec struct with an `endpoint_id`, and a `version`: the
    entry id of the newest event in it.

    Attributes:
        name: The name that a person types, the same in every release.
        version: Rises when the same events lead to another document.
        initial: The state of an endpoint before its first event.
        evolve: The state after one more event; the very same object when nothing changed.
        document: The struct of a document; programs see its fields.
        encode: The JSON document of a state, beginning with the given revision.
        decode: The revision and the state of a document; it may raise anything for one that it
            cannot read. `read` is the way to call it.
        newest_counts: Types of which only the newest event counts, for one endpoint and the same
            route or routes: given that one, the older ones change nothing, whatever else happened.
            A replay folds these without their event id and source.
        newest_of_endpoint: The same for one endpoint, whatever the route.
        gathering: Makes a `Gathering`, which a replay uses to fold many events of one more type at
            once, with the same result as *evolve* one by one. Its argument is the set of endpoints
            to exclude, as their ids are spelled. None where there is no such type.
        is_tombstone: Whether a state says only that its endpoint was destroyed, and is forgotten
            when the log has no event of the endpoint any more; by default none does.
    """

    name: str
    version: int
    initial: Callable[[UUID], State]
    evolve: Callable[[State, RecordedEvent], State]
    document: type[msgspec.Struct]
    encode: Callable[[State, int], bytes]
    decode: Callable[[bytes], tuple[int, State]]
    newest_counts: frozenset[type[Event]] = frozenset()
    newest_of_endpoint: frozenset[type[Event]] = frozenset()
    gathering: Callable[[AbstractSet[str]], Gathering[State]] | None = None
    is_tombstone: Callable[[State], bool] = lambda _state: False

    def read(self, document: bytes, endpoint: str | None = None) -> tuple[int, State]:
        """Return the revision and the state of a stored document.

        Raises:
            UnreadableDocumentError: It is not what `encode` writes, or not of *endpoint*.
        """
        try:
            check_size(document, BYTES_MAX)
            revision, state = self.decode(document)
        except Exception as error:  # noqa: BLE001 - each kind of damage breaks a decoder differently
            raise self._unreadable(problem_of(error)) from None
        if revision < 1 or not document.startswith(b'{"revision":%d,' % revision):
            raise self._unreadable("it does not begin with its revision")
        if _LONG_NUMBER in document.translate(_DIGITS_AS_ZEROS) and not _has_stamps(
            any_json(document)
        ):
            raise self._unreadable("it has a stamp of more than 64 bits")
        held: Any = state
        if endpoint is not None and str(held.endpoint_id) != endpoint:
            raise self._unreadable(f"it is of endpoint {held.endpoint_id}, not of {endpoint}")
        return revision, state

    def _unreadable(self, problem: str) -> UnreadableDocumentError:
        return UnreadableDocumentError(f"{self.name} document: {problem}")

    @property
    def read_model(self) -> str:
        """The name of this version's keys, group and positions in Redis.

        Each version is a read model of its own, so two releases can run at the same time: the older
        one keeps its documents up to date while the newer one builds and keeps others.
        """
        return self.name if self.version == 1 else f"{self.name}-v{self.version}"


def _has_stamps(value: object) -> bool:
    """Whether no pair of whole numbers in *value* is beyond the greatest entry id."""
    match value:
        case [int(ms), int(seq)]:
            return max(ms, seq) <= END.ms
        case dict() | list():
            return all(map(_has_stamps, value.values() if isinstance(value, dict) else value))
    return True
