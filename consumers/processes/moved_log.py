"""Let a process go on where its log has moved to, without a restart."""

from collections.abc import Awaitable, Callable

import anyio

from events.errors import EventsError, ServerUnavailableError
from events.log.log import EventLog
from events.structured_logger import structured_logger

LOOK_FOR_MOVE_S = 3.0
"""Seconds between two looks at whether the log has moved, or is about to."""

_WHILE_PAUSED_S = 0.1

_log = structured_logger(__name__)


class LogMoves:
    """What one run of a process knows of moves of its log.

    Args:
        log: The log.
        pauses: Whether the process stops already when a move is about to happen, and waits: a
            handler group, so that no event is handled at both places.

    Attributes:
        is_over: Set when the process was asked to stop for another reason than a move.
    """

    def __init__(self, log: EventLog, *, pauses: bool = False) -> None:
        self._event_log = log
        self._pauses = pauses
        self.is_over = False
        self._is_told = False

    async def wait(self) -> None:
        """Return when the log has moved, or the process shall pause for that."""
        while await self._next() is not None:  # noqa: ASYNC110 - it is seen elsewhere
            await anyio.sleep(LOOK_FOR_MOVE_S)
        _log.info("log_moves", namespace=self._event_log.keys.namespace)

    async def next_log(self) -> EventLog | None:
        """Return the log with which the process goes on, None if it shall end."""
        while not self.is_over:
            moved = self._event_log.current
            if moved is not self._event_log:
                _log.info("log_moved", namespace=moved.keys.namespace, to=moved.server.address)
                return moved
            if (going_on := await self._next()) is not None:
                return going_on
            await anyio.sleep(_WHILE_PAUSED_S)
        return None

    async def _next(self) -> EventLog | None:
        """Return the log if it stays where it is, None where it moves; look for its new place."""
        log = self._event_log
        try:
            if await log.find_successor() is not None:
                return None
            is_moving = self._pauses and await log.server.client.call("EXISTS", log.keys.moving)
        except ServerUnavailableError:
            return log  # whoever works on it meets the same, and says so
        except EventsError as error:
            if not self._is_told:
                _log.error("move_not_followed", namespace=log.keys.namespace, error=str(error))
            self._is_told = True
            return log
        return None if is_moving else log


async def run_where_it_is(
    log: EventLog, run: Callable[[EventLog], Awaitable[EventLog | None]]
) -> None:
    """Call *run* with the log, and with the one that it returns, until it returns none."""
    now: EventLog | None = log
    while now is not None:
        now = await run(now)
