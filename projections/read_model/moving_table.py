"""The route table of one log in memory: followers of its partitions, ages, and what is reported."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from uuid import UUID

import anyio
from anyio.abc import TaskGroup, TaskStatus

from events.errors import EventsError
from events.log.keys import Keys, partition_of
from events.log.log import EventLog
from events.server.server import Server
from events.structured_logger import structured_logger
from projections.health_state.followed_ages import FollowedAges
from projections.read_model.follower import Follower
from projections.read_model.store import ReadModelStore
from projections.requests.request_report import RequestReport
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.wipe_guard import wiped

LOOK_FOR_MOVE_S = 1.0
"""Seconds between two looks at whether the log has moved."""

AGES_WAIT_S = 5.0
"""The longest wait, after a move, until it is known how old the health of routes is."""

Note = Callable[[Iterable[UUID] | None], None]
"""Called with the endpoints that changed, None for all."""

_log = structured_logger(__name__)


class LoadedTable:
    """What a reader has of one log; where that moves, the reader takes another one.

    Attributes:
        followers: The follower of each partition.
        ages: When routes were last probed.
        requests: What is reported to the checkers.
    """

    def __init__(
        self,
        place: tuple[Server, Keys, int],
        note: Note,
        *,
        block_ms: int,
        audit_s: float,
    ) -> None:
        server, keys, partitions = place
        self.followers = [
            Follower(
                server,
                ReadModelStore(server, keys, ROUTE_TABLE, partition),
                note,
                wiped,
                block_ms=block_ms,
                audit_s=audit_s,
            )
            for partition in range(partitions)
        ]
        self.ages = FollowedAges(*place, self.endpoints, note)
        self.requests = RequestReport(*place)
        self._scope = anyio.CancelScope()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Follow until `stop`; started when the whole table is loaded for the first time."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                for follower in self.followers:
                    tasks.start_soon(follower.run)
                for follower in self.followers:
                    await follower.loaded.wait()
                tasks.start_soon(self.ages.run)
                tasks.start_soon(self.requests.run)
                task_status.started()

    def stop(self) -> None:
        """Follow no more; what is held stays."""
        self._scope.cancel()

    def endpoint(self, endpoint_id: UUID) -> Endpoint | None:
        """Return the endpoint's state, None where it is unknown."""
        follower = self.followers[partition_of(endpoint_id, len(self.followers))]
        held = follower.held.get(endpoint_id)
        return None if held is None else held[1]

    def endpoints(self) -> list[Endpoint]:
        """Return every endpoint of the table."""
        return [state for follower in self.followers for _, state in follower.held.values()]


class MovingTable:
    """The table of a log, and of the one at the place that it moves to.

    A log is opened at its new place when the documents there have all that the ones here have. What
    is here is kept until the whole table is loaded from there.

    Attributes:
        table: The table in memory.
    """

    def __init__(self, log: EventLog, note: Note, *, block_ms: int, audit_s: float) -> None:
        self._log = log
        self._note = note
        self._block_ms = block_ms
        self._audit_s = audit_s
        self.table = self._table_of(log)

    def _table_of(self, log: EventLog) -> LoadedTable:
        place = (log.server, log.keys, log.partitions)
        return LoadedTable(place, self._note, block_ms=self._block_ms, audit_s=self._audit_s)

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Follow until cancelled; started when the whole table is loaded for the first time."""
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(self.table.run)
                task_status.started()
                log = self._log
                while True:
                    await anyio.sleep(LOOK_FOR_MOVE_S)
                    with suppress(EventsError):
                        if (moved := await log.find_successor()) is not None:
                            await self._go_on(moved, tasks)
                            log = moved
        finally:
            with anyio.CancelScope(shield=True):
                await self._log.aclose()

    async def _go_on(self, moved: EventLog, tasks: TaskGroup) -> None:
        before, table = self.table, self._table_of(moved)
        await tasks.start(table.run)
        with anyio.move_on_after(AGES_WAIT_S):
            await table.ages.first_read.wait()
        self.table = table
        before.stop()
        self._note(None)
        _log.info("table_moved", namespace=moved.keys.namespace, partitions=moved.partitions)
