"""Patience: what is done again until the server serves it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from events.errors import ServerUnavailableError
from events.server.backoff import Backoff
from events.structured_logger import structured_logger

PATIENCE = Backoff(first_s=0.05, most_s=1.0)

Reply = TypeVar("Reply")

_log = structured_logger(__name__)


async def patiently(step: Callable[[], Awaitable[Reply]]) -> Reply:
    """Take *step*, which can be taken twice, until the server answers; whoever cancels ends it."""
    failures = 0
    while True:
        try:
            return await step()
        except ServerUnavailableError as error:
            failures += 1
            await be_patient(error, failures)


async def be_patient(error: ServerUnavailableError, failures: int) -> None:
    """Wait after so many failures in a row."""
    _log.warning("server_unavailable", error=str(error), failures=failures)
    await anyio.sleep(PATIENCE.delay_s(failures))
