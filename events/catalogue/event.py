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


_VERSION_7 = 0x7 << 76


_VARIANT = 0b10 << 62


_RANDOM_BITS = (0xFFF << 64) | (2**62 - 1)


def new_event_id() -> UUID:
    """Return a fresh id: 48 bits of milliseconds since 1970, the rest random (RFC 9562)."""
    ms = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10)) & _RANDOM_BITS
    return UUID(int=(ms << 80) | _VERSION_7 | _VARIANT | random)
