"""The projection: the pure definition of a read model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from events.recorded import RecordedEvent

State = TypeVar("State")


@dataclass(frozen=True)
class Projection(Generic[State]):
    """What is kept of each endpoint, and what each event makes of it.

    For every projection any order and any number of deliveries of the same events must lead to
    the same state.

    Attributes:
        name: Names its keys and its group.
        version: Rises when the same events lead to another document.
        initial: The state of an endpoint before its first event.
        evolve: The state after one more event; the very same object when nothing changed.
        encode: The JSON document of a state, beginning with the given revision.
        decode: The revision and the state of a document.
    """

    name: str
    version: int
    initial: Callable[[UUID], State]
    evolve: Callable[[State, RecordedEvent], State]
    encode: Callable[[State, int], bytes]
    decode: Callable[[bytes], tuple[int, State]]
