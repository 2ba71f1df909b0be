"""The projection: the pure definition of a read model."""

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
    """Events of one type of which many count, each route's together, kept as short as can be."""

    @property
    def kind(self) -> type[Event]:
        """The type."""

    def __len__(self) -> int:
        """How much it keeps: routes, and what was said of them in different words."""

    def add(self, entry_id: bytes, payload: bytes) -> bool:
        """Add the next event of the log; say False for one of an endpoint that is kept apart.

        Raises:
            msgspec.DecodeError: The payload is none that the codec reads.
        """

    def taken(self) -> Iterator[tuple[UUID, Callable[[State], State]]]:
        """Yield endpoints, each with what folds its events into its state; keep them no more."""


@dataclass(frozen=True)
class Projection(Generic[State]):
    """What is kept of each endpoint, and what each event makes of it.

    For every projection any order and any number of deliveries of the same events must lead to
    the same state. A state is a frozen msgspec struct with an `endpoint_id`, and a `version`: the
    entry id of the newest event in it.

    Attributes:
        name: What a person types for it, in every release.
        version: Rises when the same events lead to another document.
        initial: The state of an endpoint before its first event.
        evolve: The state after one more event; the very same object when nothing changed.
        document: The struct of a document; its fields are what programs are shown.
        encode: The JSON document of a state, beginning with the given revision.
        decode: The revision and the state of a document.
        newest_counts: Types of which, of one endpoint and the same route or routes, only the
            newest event counts: with it, the older ones change nothing, whatever else happened.
            A replay folds these without their event id and source.
        newest_of_endpoint: The same, whatever their route.
        gathering: Makes what gathers events of one more type in a replay, to fold many at once
            as *evolve* does one by one, but none of the endpoints that it is given, as they are
            spelled; None where there is no such type.
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
        """What all that this version keeps in Redis is called: its keys, its group, its positions.

        Each version is a read model of its own, so two releases run at the same time: the older one
        goes on with its own documents while the newer one builds and keeps others.
        """
        return self.name if self.version == 1 else f"{self.name}-v{self.version}"
