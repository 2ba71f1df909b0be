"""The fold: a state is what its events, one after another, make of the initial one."""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import TypeVar

from events.entry.recorded import RecordedEvent

State = TypeVar("State")
Evolve = Callable[[State, RecordedEvent], State]


def fold(evolve: Evolve[State], initial: State, events: Iterable[RecordedEvent]) -> State:
    """Return what *events* make of *initial*."""
    return reduce(evolve, events, initial)
