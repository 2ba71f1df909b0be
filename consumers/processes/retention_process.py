"""Runs a process that trims the log, and warns of holders that hold it back."""

import anyio

from consumers.processes.group_process import warn_of_weaknesses
from consumers.processes.moved_log import LogMoves
from consumers.processes.registry import own_facts, registered
from consumers.processes.stopping import stopping
from consumers.retention.holder_advice import is_told, remedy_of
from consumers.retention.settings import RETENTION, RetentionSettings
from events.errors import ServerUnavailableError
from events.log.log import EventLog
from events.retention.retention import Cut, read_cut
from events.retention.trim import Trim, count_before, is_ours
from events.server.backoff import Backoff
from events.server.server import now_of
from events.streams.partition_stream import PartitionStream
from events.structured_logger import structured_logger
from projections.catalogue import PROJECTIONS
from projections.read_model.tombstones import Tombstones

_log = structured_logger(__name__)


class Retention:
    """Trims all partitions of a log periodically; several such processes may run at once."""

    def __init__(self, log: EventLog, settings: RetentionSettings) -> None:
        self._log = log
        self._settings = settings
        self._rule = settings.rule
        self._stopping = anyio.Event()
        self._warned: dict[int, frozenset[str]] = {}
        self._tombstones = {
            partition: [
                Tombstones(log.server, log.keys, projection, partition)
                for projection in PROJECTIONS.values()
            ]
            for partition in range(log.partitions)
        }

    async def run(self) -> None:
        """Trim every `interval_s` seconds until stopped, however often the server goes away."""
        backoff = Backoff(first_s=0.2, most_s=self._settings.interval_s + 0.2)
        failures = 0
        while not self._stopping.is_set():
            wait_s = self._settings.interval_s
            try:
                await self.trim()
                failures = 0
            except ServerUnavailableError as error:
                failures += 1
                wait_s = backoff.delay_s(failures)
                _log.warning("server_unavailable", error=str(error), failures=failures)
            with anyio.move_on_after(wait_s):
                await self._stopping.wait()

    async def stop(self) -> None:
        """Stop after the current step, so that what it removed is logged."""
        self._stopping.set()

    async def trim(self) -> int:
        """Trim every partition once; return how many entries were removed."""
        if not await is_ours(self._log):
            return 0
        return sum([await self._trim(partition) for partition in range(self._log.partitions)])

    async def _trim(self, partition: int) -> int:
        now = await now_of(self._log.server)
        now_ms = round(now.timestamp() * 1_000)
        removed = 0
        async for step in Trim(self._log, partition, self._rule).steps(now_ms):
            removed += step.removed
            if self._stopping.is_set():
                break
        await self._forget(partition)
        cut = await read_cut(self._log, partition, self._rule, now_ms)
        if cut is None:
            return removed
        held = await self._held(cut) if cut.held_by else 0
        report = _log.info if removed else _log.debug
        report(
            "log_trimmed",
            partition=partition,
            removed=removed,
            to=str(cut.at),
            held_by=[holder.name for holder in cut.held_by],
            held_entries=held,
        )
        self._warn(cut, held)
        return removed

    async def _forget(self, partition: int) -> None:
        """Forget some of the endpoints of which the log has nothing any more, if there are any."""
        for tombstones in self._tombstones[partition]:
            if forgotten := await tombstones.sweep():
                _log.info(
                    "tombstones_forgotten",
                    read_model=tombstones.read_model,
                    partition=partition,
                    endpoints=forgotten,
                )

    async def _held(self, cut: Cut[PartitionStream]) -> int:
        """Count the entries that holders keep from being trimmed, up to one above `held_max`."""
        limit = self._settings.held_max + 1
        partition = cut.stream.partition
        counts = await count_before(self._log, partition, [cut.floor], limit)
        counted = counts[cut.floor]
        return limit if counted is None else min(counted, limit)

    def _warn(self, cut: Cut[PartitionStream], held: int) -> None:
        """Warn of dead holders that hold the log back, once, and again when they change."""
        partition = cut.stream.partition
        idle = [
            holder
            for holder in cut.held_by
            if is_told(holder) and not (holder.unread and holder.unread.is_waiting)
        ]
        warned_of = frozenset(h.name for h in idle if h.kind != "group" or self._is_much(held))
        if warned_of and warned_of != self._warned.get(partition):
            for holder in idle:
                if holder.name in warned_of:
                    _log.warning(
                        "trim_held_back",
                        partition=partition,
                        held_by=holder.name,
                        held_entries=held,
                        what_to_do=remedy_of(holder),
                    )
        self._warned[partition] = warned_of

    def _is_much(self, held: int) -> bool:
        return held > self._settings.held_max


async def run_retention(
    log: EventLog, settings: RetentionSettings, name: str, *, supervised: int | None
) -> EventLog | None:
    """Trim the log as the process *name* until a signal stops it.

    Returns the log with which it goes on if that has moved, None if it shall end.
    *supervised* is how many such processes the supervisor keeps, None without one.
    """
    retention = Retention(log, settings)
    moves = LogMoves(log)
    await warn_of_weaknesses(log.server)
    _log.info("process_started", process=RETENTION, server=log.server.address)
    async with (
        registered(log, RETENTION, name, own_facts(wanted=supervised, metrics=None)),
        stopping(retention.stop, supervised=supervised is not None, moves=moves),
    ):
        await retention.run()
    _log.info("process_stopped", process=RETENTION)
    return await moves.next_log()
