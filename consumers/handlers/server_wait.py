"""Waits for a server that is away, and repeats a step until the server answers."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from events.errors import ServerUnavailableError
from events.server.backoff import Backoff
from events.structured_logger import structured_logger

RETRY_WAIT = Backoff(first_s=0.05, most_s=1.0)

Reply = TypeVar("Reply")

_log = structured_logger(__name__)


async def until_served(step: Callable[[], Awaitable[Reply]]) -> Reply:
    """Repeat *step*, which must be idempotent, until the server answers; a cancel ends it."""
    failures = 0
    while True:
        try:
            return await step()
        except ServerUnavailableError as error:
            failures += 1
            await wait_before_retry(error, failures)


async def wait_before_retry(error: ServerUnavailableError, failures: int) -> None:
    """Log *error*, and wait after *failures* failures in a row."""
    _log.warning("server_unavailable", error=str(error), failures=failures)
    await anyio.sleep(RETRY_WAIT.delay_s(failures))
