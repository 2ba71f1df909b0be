"""Reads the state of a deployment repeatedly, each time with a few bounded reads."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import TypeVar

from consumers.cli.top.deployment_state import DeadLine, DeploymentState, GroupLine, Subject
from consumers.groups.state import GroupState, read_group_states
from consumers.runtime.dead_letters import DeadLetters
from consumers.shipped import GROUPS
from events.archive import Archive
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import ServerRefusedError
from events.history.history import History
from events.history.tail import read_tail
from events.log.log import EventLog
from events.server.reply import reply
from events.server.server import now_of
from events.streams.partition_stream import PartitionStream, read_partition_stream
from projections.errors import NoLiveGenerationError, UnreadableGenerationError
from projections.health_state.probe_times import read_health_ages
from projections.read_model.knowledge import read_knowledge
from projections.read_model.reader import RouteTableReader
from projections.read_model.store import ReadModelStore
from projections.route_table.route_table import ROUTE_TABLE

LOG_ENTRIES_MAX = 200
"""Newest entries of the log that are read."""

DEAD_MAX = 100
"""Newest dead letters of a group in a partition that are read."""

RATES_MAX = 240
"""Readings whose rate is kept."""

GROUP_LINES_MAX = 200
"""Groups times partitions that are read."""

PARTITIONS_ASKED_MAX = 16
"""Partitions for which each reading asks how far they are folded."""

T = TypeVar("T")


class DeploymentReader:
    """Reads states of one deployment. It never writes.

    Endpoints come from a reader, which follows their changes; everything else is read each time.
    A subject that the server refuses is missing in the state, with the reason.

    Attributes:
        log: The log that it reads.
        history: The log together with its archive, for the details of one row.
    """

    def __init__(
        self, log: EventLog, reader: RouteTableReader, archive: Archive | None = None
    ) -> None:
        self.log = log
        self.history = History(log, archive, on_gap=lambda _gap: None)
        self._reader = reader
        self._problems: dict[Subject, str] = {}
        self._rates: deque[float] = deque(maxlen=RATES_MAX)
        self._looked_at: float | None = None
        self._added: dict[int, int] = {}
        self._backlogs: dict[tuple[str, int], int] = {}
        self._entries: list[Entry] = []
        self._lasts: Mapping[int, EntryId | None] = {}

    async def look(self) -> DeploymentState:
        """Return the present state.

        Raises:
            ServerUnavailableError: The server cannot be reached, or does not answer.
        """
        self._problems = {}
        now = await now_of(self.log.server)
        streams = await self._of("log", self._streams) or {}
        states = await self._of("groups", self._states) or []
        entries = await self._of("log", lambda: self._newest(streams)) or []
        dead, dead_count = await self._of("dead", lambda: self._dead(states)) or ([], 0)
        await self._of("endpoints", self._check_endpoints)
        behind_s = await self._of("endpoints", lambda: self._behind_s(now))
        endpoints = [one for one in self._reader.endpoints() if not one.is_destroyed]
        ages = await self._of("endpoints", lambda: read_health_ages(self.log, endpoints, now))
        return DeploymentState(
            now=now,
            endpoints=endpoints,
            ages=ages or {},
            endpoints_age_s=self._reader.age_s,
            behind_s=behind_s,
            groups=self._rated(states, streams),
            dead=dead,
            dead_count=dead_count,
            entries=entries,
            added=sum(stream.added for stream in streams.values()),
            rates=tuple(self._rates),
            problems=self._problems,
        )

    async def _of(self, subject: Subject, read: Callable[[], Awaitable[T]]) -> T | None:
        """Read a subject, or note why not: a refused command leaves out only its subject."""
        try:
            return await read()
        except (ServerRefusedError, NoLiveGenerationError, UnreadableGenerationError) as error:
            self._problems.setdefault(subject, str(error))
            return None

    async def _streams(self) -> dict[int, PartitionStream]:
        found = {p: await read_partition_stream(self.log, p) for p in range(self.log.partitions)}
        return {p: stream for p, stream in found.items() if stream is not None}

    async def _states(self) -> list[GroupState]:
        states = []
        async for state in read_group_states(self.log):
            states.append(state)
            if len(states) >= GROUP_LINES_MAX:
                self._problems["groups"] = f"the first {GROUP_LINES_MAX} lines are shown"
                break
        return states

    async def _newest(self, streams: Mapping[int, PartitionStream]) -> list[Entry]:
        """Read the newest entries, unless the log has not grown since the last reading."""
        lasts = {p: stream.last for p, stream in streams.items()}
        if not lasts or lasts != self._lasts:
            history = History(self.log, on_gap=lambda _gap: None)
            tail = await read_tail(history, range(self.log.partitions), LOG_ENTRIES_MAX, None)
            self._entries, self._lasts = tail.entries[::-1], lasts
        return self._entries

    async def _dead(self, states: list[GroupState]) -> tuple[list[DeadLine], int]:
        found: list[DeadLine] = []
        counted = 0
        server, keys = self.log.server, self.log.keys
        for group in sorted({*GROUPS, *(state.group for state in states)}):
            for partition in range(self.log.partitions):
                raw = await server.client.call("XLEN", keys.dead(partition, group))
                length = reply(raw, int)
                counted += length
                if length:
                    letters = DeadLetters(server, keys, partition, group)
                    found += [DeadLine(group, one) for one in await letters.newest(DEAD_MAX)]
        found.sort(key=lambda line: line.letter.dead_id, reverse=True)
        return found[:DEAD_MAX], counted

    async def _check_endpoints(self) -> None:
        """Find out why the reader has not loaded the endpoints, if it has not.

        Raises:
            NoLiveGenerationError: The read model has no live generation yet.
            ServerRefusedError: The account may not read it.
        """
        for partition, generation in enumerate(self._reader.generations):
            store = ReadModelStore(self.log.server, self.log.keys, ROUTE_TABLE, partition)
            if generation == 0:
                live = await store.live_generation()
                if live is None:
                    raise await store.not_live()
                await store.last_change()
                await store.load(live, ["-"])

    async def _behind_s(self, now: datetime) -> float | None:
        """Return the age of the oldest event that is not folded in the first partitions."""
        partitions = range(min(self.log.partitions, PARTITIONS_ASKED_MAX))
        call, keys = self.log.server.client.call, self.log.keys
        known = [await read_knowledge(call, keys, ROUTE_TABLE.read_model, p) for p in partitions]
        ages = [one.behind_s(now) for one in known]
        return None if None in ages else max((age for age in ages if age is not None), default=None)

    def _rated(
        self, states: list[GroupState], streams: Mapping[int, PartitionStream]
    ) -> list[GroupLine]:
        """Compute rates since the last reading: entries appended, and entries each group ended."""
        at = monotonic()
        passed_s = 0.0 if self._looked_at is None else at - self._looked_at
        added = {p: stream.added for p, stream in streams.items()}
        grown = {p: max(0, added[p] - self._added.get(p, added[p])) for p in added}
        backlogs = {(s.group, s.partition): s.backlog for s in states if s.backlog is not None}
        lines = []
        for state in states:
            before = self._backlogs.get((state.group, state.partition))
            rate = None
            if passed_s and before is not None and state.backlog is not None:
                ended = before + grown.get(state.partition, 0) - state.backlog
                rate = max(0, ended) / passed_s
            lines.append(GroupLine(state, rate))
        if passed_s:
            self._rates.append(sum(grown.values()) / passed_s)
        self._looked_at, self._added, self._backlogs = at, added, backlogs
        return lines
