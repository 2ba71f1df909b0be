"""Reads what a proxy counts itself, again and again, for the health checkers."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from aiohttp import ClientError, ClientSession, ClientTimeout

from consumers.errors import UnreachableProxyError
from events.structured_logger import structured_logger

_log = structured_logger(__name__)

READ_EVERY_S = 1.0
"""Seconds between two readings of a proxy's counters."""

Counts = TypeVar("Counts")


async def follow_counters(
    read: Callable[[], Awaitable[Counts]], use: Callable[[Counts], None]
) -> None:
    """Read and use them until cancelled; a proxy that does not answer is told once."""
    is_heard = True
    while True:
        try:
            counts = await read()
        except UnreachableProxyError as error:
            if is_heard:
                _log.warning("counters_not_read", why=str(error))
            is_heard = False
        else:
            is_heard = True
            use(counts)
        await anyio.sleep(READ_EVERY_S)


async def read_counters(
    session: ClientSession,
    url: str,
    called: str,
    *,
    timeout_s: float,
    bytes_max: int,
    hint: str = "",
) -> bytes:
    """Return what *url* answers; errors call it *called*, and end in *hint* where it refuses.

    Raises:
        UnreachableProxyError: It does not answer with 200, in time, and within *bytes_max*.
    """
    try:
        async with session.get(url, timeout=ClientTimeout(total=timeout_s)) as response:
            if response.status != 200:
                raise UnreachableProxyError(f"{called} answers {response.status}{hint}")
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > bytes_max:
                    raise UnreachableProxyError(f"{called} answers without end")
    except (ClientError, OSError, TimeoutError) as error:
        why = str(error) or f"no answer within {timeout_s:g} s"
        raise UnreachableProxyError(f"{called} cannot be reached: {why}") from None
    return bytes(body)
