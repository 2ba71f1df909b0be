"""The base class of all events, which are facts about one endpoint, and the ids of events."""

import os
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

import msgspec

Payload = dict[str, Any]

Upcaster = Callable[[Payload], Payload]
"""Converts the payload of one version to the next version's."""


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every event has: its type's name and version on the wire, and its endpoint.

    An event is self-contained: it carries the state after the change, not a reference to it. The
    endpoint is the partition key and the unit of order. *wire_name* is stable; renaming the class
    never changes it. *version* rises when the payload's meaning changes; *upcasters* then maps each
    older version to the function that converts its payload to the next version's.
    """

    wire_name: ClassVar[str]
    version: ClassVar[int] = 1
    upcasters: ClassVar[Mapping[int, Upcaster]] = MappingProxyType({})

    endpoint_id: UUID


_RANDOM_BYTES = 10
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def new_event_ids(count: int) -> list[str]:
    """Return fresh ids: 48 bits of milliseconds since 1970, the rest random (RFC 9562)."""
    ms = f"{time.time_ns() // 1_000_000:012x}"
    begin = f"{ms[:8]}-{ms[8:]}-7"
    drawn = os.urandom(_RANDOM_BYTES * count).hex()
    return [
        f"{begin}{of[:3]}-{_VARIANT[of[3]]}{of[4:7]}-{of[7:19]}"
        for of in (drawn[at : at + 20] for at in range(0, len(drawn), 2 * _RANDOM_BYTES))
    ]


def new_event_id() -> UUID:
    """Return one fresh id."""
    return UUID(new_event_ids(1)[0])
