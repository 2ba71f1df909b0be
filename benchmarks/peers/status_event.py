"""The event that peers send: the bytes of a status event, as routestream records it."""

import sys
from collections.abc import Iterator
from uuid import UUID

_OBSERVED_AT = "2026-11-29T09:00:00.000000Z"


def payloads(count: int, endpoints: int = 1_000) -> Iterator[bytes]:
    """Yield so many status events, each of another endpoint than the one before."""
    for number in range(count):
        endpoint, route = UUID(int=number % endpoints), UUID(int=number % 4)
        yield (
            f'{{"endpoint_id":"{endpoint}","route_id":"{route}","session_id":null,'
            f'"new_status":"healthy","reason":"HTTP 200","observed_at":"{_OBSERVED_AT}",'
            '"consecutive_failures":0}'
        ).encode()


def place() -> tuple[str, str, int]:
    """Return the server's URL, the name of the stream and the number of events."""
    url, name, count = sys.argv[-3:]
    return url, name, int(count)
