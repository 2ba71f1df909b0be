"""The registry of event types: it finds the class that an entry's name stands for."""

from collections.abc import Iterator
from types import ModuleType

import msgspec

from events.catalogue import endpoint, model_service, route, route_flapping, traffic_split
from events.catalogue.event import Event
from events.plugins import EVENTS, Catalogue, InvalidPluginError

SUBJECTS: tuple[ModuleType, ...] = (
    endpoint,
    route,
    traffic_split,
    model_service,
    route_flapping,
)
"""The modules of events, one for each subject; each event defined in one is registered."""


def event_types_in(subject: ModuleType) -> Iterator[type[Event]]:
    """Yield the event types that a module defines, in the order of their definition."""
    for defined in vars(subject).values():
        is_event = isinstance(defined, type) and issubclass(defined, Event)
        if is_event and defined.__module__ == subject.__name__:
            yield defined


def _usable(name: str, found: object) -> type[Event]:
    """Return the event type that a plugin brings.

    Raises:
        InvalidPluginError: It is not an event type that can be read from the log.
    """
    if not (isinstance(found, type) and issubclass(found, Event)):
        raise InvalidPluginError(f"{found!r} is no subclass of events.Event")
    wire_name = getattr(found, "wire_name", None)
    if wire_name != name:
        raise InvalidPluginError(f"its wire_name is {wire_name!r}, the entry point's is {name!r}")
    if missing := set(range(1, found.version)) - found.upcasters.keys():
        raise InvalidPluginError(f"version {min(missing)} has no upcaster to the next one")
    try:
        msgspec.json.Decoder(found)
    except TypeError as error:
        raise InvalidPluginError(f"it cannot be read from JSON: {error}") from None
    return found


EVENT_TYPES = tuple(kind for subject in SUBJECTS for kind in event_types_in(subject))
"""The shipped types, each in its newest version."""

BY_WIRE_NAME = Catalogue(EVENTS, {kind.wire_name: kind for kind in EVENT_TYPES}, _usable)
"""The type of each name on the wire, types of installed packages included."""
