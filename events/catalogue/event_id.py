"""Event ids: UUIDs of version 7, which sort by the time they were made."""

import os
import time
from uuid import UUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = (0xFFF << 64) | (2**62 - 1)


def new_event_id() -> UUID:
    """Return a fresh id: 48 bits of milliseconds since 1970, the rest random (RFC 9562)."""
    ms = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10)) & _RANDOM_BITS
    return UUID(int=(ms << 80) | _VERSION_7 | _VARIANT | random)
