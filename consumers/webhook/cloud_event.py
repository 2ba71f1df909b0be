"""Encodes a recorded event as JSON of CloudEvents 1.0, structured mode."""

from typing import Any
from urllib.parse import quote

import msgspec

from events.entry.position import time_of
from events.entry.recorded import RecordedEvent

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"

TYPE_PREFIX = "routestream."

_ID_MAX = 128


def cloud_event(recorded: RecordedEvent, namespace: str) -> bytes:
    """Return the request body for *recorded*.

    Besides the attributes of the specification it has `entryid`, `partition` and `dataversion`,
    and `traceparent` if the event was recorded with one. The endpoint is the subject. Of two events
    of one endpoint, the one with the greater `entryid`, as a pair of integers, is newer.
    """
    event = recorded.event
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": id_of(recorded),
        "source": f"/{quote(namespace, safe='')}/{quote(recorded.source, safe='')}",
        "type": TYPE_PREFIX + event.wire_name,
        "subject": str(event.endpoint_id),
        "time": time_of(recorded.entry_id).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "entryid": str(recorded.entry_id),
        "partition": recorded.partition,
        "dataversion": event.version,
    }
    if recorded.metadata.traceparent is not None:
        attributes["traceparent"] = recorded.metadata.traceparent
    return msgspec.json.encode({**attributes, "data": event})


def id_of(recorded: RecordedEvent) -> str:
    """Return the event's id; for an event without a usable one, its partition and entry id.

    The id is sent in a header, too, which does not allow every character.
    """
    event_id = recorded.event_id
    if 0 < len(event_id) <= _ID_MAX and event_id.isascii() and event_id.isprintable():
        return event_id
    return f"{recorded.partition}-{recorded.entry_id}"
