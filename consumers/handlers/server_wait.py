"""The wait for a server that is away: a step is taken again until it is served."""

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
    """Take *step*, which can be taken twice, until the server answers; whoever cancels ends it."""
    failures = 0
    while True:
        try:
            return await step()
        except ServerUnavailableError as error:
            failures += 1
            await wait_before_retry(error, failures)


async def wait_before_retry(error: ServerUnavailableError, failures: int) -> None:
    """Wait after so many failures in a row."""
    _log.warning("server_unavailable", error=str(error), failures=failures)
    await anyio.sleep(RETRY_WAIT.delay_s(failures))
