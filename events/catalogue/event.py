"""The event: a fact that happened to one endpoint."""

from typing import ClassVar
from uuid import UUID

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every event has: its type's name and version on the wire, and its endpoint.

    An event is enough by itself: it carries the state after the change, no pointer to it. The
    endpoint is the partition key and the unit of order. *wire_name* is stable; renaming the class
    never changes it. *version* rises when the payload's meaning changes, with an upcaster beside
    it.
    """

    wire_name: ClassVar[str]
    version: ClassVar[int] = 1

    endpoint_id: UUID
