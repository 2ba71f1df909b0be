"""The interruption: what takes a consumer from its work, told in the log and waited out."""

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
        """Note that the work goes on."""
        self.failures = 0

    async def wait_out(self, error: Exception) -> None:
        """Tell of *error*; where the server is the reason, wait, longer each time, or for a stop.

        What was lost is looked for anew at once.
        """
        error = first_failure(error)
        told = str(error)
        self._progress.interrupted(told)
        if isinstance(error, NoGroupError):
            self._log.error("group_lost", error=told)
            return
        if isinstance(error, LeaseLostError):
            self._log.error("lease_lost", error=told)
            return
        self.failures += 1
        if isinstance(error, ServerUnavailableError):
            self._log.warning("server_unavailable", error=told, failures=self.failures)
        else:
            # Something else may lie where the stream was: only a person can mend that.
            self._log.error("server_refused", error=told, failures=self.failures)
        with anyio.move_on_after(_BACKOFF.delay_s(self.failures)):
            await self._stopping.wait()
