"""The registry: which class an entry's name stands for."""

from collections.abc import Iterator
from types import MappingProxyType, ModuleType

from events.catalogue import endpoint, model_service, route
from events.catalogue.event import Event

SUBJECTS: tuple[ModuleType, ...] = (endpoint, route, model_service)
"""The modules of events, one for each subject; what is defined in one of them is registered."""


def event_types_in(subject: ModuleType) -> Iterator[type[Event]]:
    """Yield the event types that a module defines, in their order there."""
    for defined in vars(subject).values():
        is_event = isinstance(defined, type) and issubclass(defined, Event)
        if is_event and defined.__module__ == subject.__name__:
            yield defined


EVENT_TYPES = tuple(kind for subject in SUBJECTS for kind in event_types_in(subject))
"""The catalogue, each type in its newest version."""

BY_WIRE_NAME = MappingProxyType({kind.wire_name: kind for kind in EVENT_TYPES})
"""The type that each name on the wire stands for."""
