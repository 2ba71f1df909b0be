"""Define a read model as pure functions: a projection."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

from events.catalogue.event import Event
from events.entry.recorded import RecordedEvent

State = TypeVar("State")


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
        decode: The revision and the state of a document.
        newest_counts: Types of which only the newest event counts, for one endpoint and the same
            route or routes: given that one, the older ones change nothing, whatever else happened.
            A replay folds these without their event id and source.
        newest_of_endpoint: The same for one endpoint, whatever the route.
        gathering: Makes a `Gathering`, which a replay uses to fold many events of one more type at
            once, with the same result as *evolve* one by one. Its argument is the set of endpoints
            to exclude, as their ids are spelled. None where there is no such type.
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

    @property
    def read_model(self) -> str:
        """The name of this version's keys, group and positions in Redis.

        Each version is a read model of its own, so two releases can run at the same time: the older
        one keeps its documents up to date while the newer one builds and keeps others.
        """
        return self.name if self.version == 1 else f"{self.name}-v{self.version}"
