"""Logs what interrupts a consumer's work, and waits before the next attempt."""

import anyio

from consumers.errors import LeaseLostError
from consumers.runtime.progress import ConsumerProgress
from events.errors import (
    NoGroupError,
    ServerRefusedError,
    ServerUnavailableError,
    first_failure,
)
from events.server.backoff import Backoff
from events.structured_logger import StructuredLogger
from projections.errors import UnreadableGenerationError

INTERRUPTIONS = (
    NoGroupError,
    LeaseLostError,
    ServerUnavailableError,
    ServerRefusedError,
    UnreadableGenerationError,
)
"""Whatever else a consumer raises is a fault of the code, and ends its process."""

_BACKOFF = Backoff(first_s=0.05, most_s=5.0)


class HistoryAwaitedError(ServerUnavailableError):
    """A part of the history is missing; nothing is ended until it is back, or given up on."""


class Interruptions:
    """The interruptions of one consumer.

    Attributes:
        failures: How often in a row the server could not be reached, or refused.
    """

    def __init__(
        self, log: StructuredLogger, progress: ConsumerProgress, stopping: anyio.Event
    ) -> None:
        self.failures = 0
        self._log = log
        self._progress = progress
        self._stopping = stopping

    def over(self) -> None:
        """Note that the work continues."""
        self.failures = 0

    async def wait_out(self, error: Exception) -> None:
        """Log *error*; if the server is its cause, wait, longer each time, or until a stop.

        After the loss of the group or of the lease there is no wait.
        """
        error = first_failure(error)
        message = str(error)
        self._progress.interrupted(message)
        if isinstance(error, NoGroupError):
            self._log.error("group_lost", error=message)
            return
        if isinstance(error, LeaseLostError):
            self._log.error("lease_lost", error=message)
            return
        self.failures += 1
        if isinstance(error, HistoryAwaitedError):
            # It may last until somebody decides: told at once, then ever more seldom.
            if self.failures & (self.failures - 1) == 0:
                self._log.error("history_missing", error=message, failures=self.failures)
        elif isinstance(error, ServerUnavailableError):
            self._log.warning("server_unavailable", error=message, failures=self.failures)
        else:
            # Another value may lie under the stream's key: only a person can repair that.
            self._log.error("server_refused", error=message, failures=self.failures)
        with anyio.move_on_after(_BACKOFF.delay_s(self.failures)):
            await self._stopping.wait()
