"""Shares the partitions of a group among its living processes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import TaskStatus
from msgspec.structs import replace

from consumers.group_definition import PartitionConsumer
from consumers.membership.partition_spread import partitions_of
from consumers.processes.registry import (
    SIGN_EVERY_S,
    KnownProcess,
    ProcessFacts,
    give_sign,
    sign_off,
)
from events.background import in_background
from events.entry.entry_id import START
from events.errors import EventsError, ServerRefusedError
from events.log.log import EventLog
from events.server.backoff import Backoff
from events.server.client import NodeClient
from events.server.reply import reply, reply_streams
from events.structured_logger import structured_logger

LOOK_EVERY_S = 1.0
"""Seconds between two looks at whether the processes from which work may come still live."""

SILENT_S = SIGN_EVERY_S + 3.0
"""Seconds after which a process that left its connection open, but sends nothing, is gone."""

_SIGN_EVERY_MS = round(SIGN_EVERY_S * 1_000)
_LEAVE_TIMEOUT_S = 2.0
_BACKOFF = Backoff(first_s=0.1, most_s=SIGN_EVERY_S)


class GroupMembership:
    """One process among those of its group; made by `sharing`.

    Each process gives signs of life, waits on a connection of its own for others to come or go, and
    computes for itself what it consumes. The server tells of a death: the dead one's connection is
    closed, or silent. This decides where work goes, never who may do it: two processes may differ
    for a moment, and leases and revisions keep the work right.

    While the server is away, all stays as it was. A process that may not register takes everything.
    """

    def __init__(
        self,
        log: EventLog,
        member: tuple[str, str],
        facts: ProcessFacts,
        consumers: Sequence[PartitionConsumer],
    ) -> None:
        self._event_log = log
        self._changed = log.keys.processes_changed
        self._group, self._name = member
        self._facts = facts
        self._consumers = consumers
        self._tasks = anyio.create_task_group()
        self._signing = anyio.Lock()
        self._others: list[KnownProcess] = []
        self._gone: frozenset[str] = frozenset()
        self._assigned: frozenset[int] = frozenset()
        self._last_change = str(START)
        self._has_begun = anyio.Event()
        self._has_joined = False
        self._has_left = False
        self._log = structured_logger(__name__).bind(group=self._group, consumer=self._name)

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Take part until cancelled; say so when it is known what to consume, or cannot be."""
        for consumer in self._consumers:
            await consumer.withdraw()
        async with self._tasks as tasks:
            tasks.start_soon(self._take_part)
            tasks.start_soon(self._watch)
            await self._has_begun.wait()
            task_status.started()

    async def leave(self) -> None:
        """Let the others take the partitions, each as soon as it is given up."""
        with anyio.move_on_after(_LEAVE_TIMEOUT_S, shield=True), suppress(EventsError):
            async with self._signing:
                if not self._has_left:
                    self._has_left = True
                    await sign_off(self._event_log, self._name)
                    await tell_of_change(self._event_log, self._name)

    async def _take_part(self) -> None:
        failures = 0
        while True:
            try:
                async with self._event_log.server.blocking(self._changed, _SIGN_EVERY_MS) as client:
                    await self._join(client)
                    failures, self._has_joined = 0, True
                    self._has_begun.set()
                    while True:
                        await self._update(is_told=await self._is_told(client))
            except EventsError as error:
                failures += 1
                if failures == 1:
                    self._log.warning("process_not_registered", error=str(error))
                if isinstance(error, ServerRefusedError) and not self._has_joined:
                    self._assign(frozenset(range(len(self._consumers))))
            self._has_begun.set()
            await anyio.sleep(_BACKOFF.delay_s(failures))

    async def _join(self, client: NodeClient) -> None:
        with suppress(ServerRefusedError):
            connection = reply(await client.call("CLIENT ID"), int)
            self._facts = replace(self._facts, connection=connection)
        await self._sign()
        self._last_change = await tell_of_change(self._event_log, self._name)
        await self._update(is_told=True)

    async def _is_told(self, client: NodeClient) -> bool:
        """Wait until the next sign of life is due; return True once a process comes or goes."""
        wait = ("XREAD", "BLOCK", _SIGN_EVERY_MS, "STREAMS", self._changed, self._last_change)
        raw = await client.call(*wait)
        found = reply_streams(raw)
        for _, entries in found:
            self._last_change = entries[-1][0].decode()
        return bool(found)

    async def _update(self, *, is_told: bool) -> None:
        await self._sign()
        if self._others and (is_told or self._is_to_look):
            await self._look()
        else:
            self._share()

    async def _sign(self) -> None:
        async with self._signing:
            if not self._has_left:
                known = await give_sign(self._event_log, self._group, self._name, self._facts)
                self._others = [one for one in known if one.is_alive and one.name != self._name]

    async def _watch(self) -> None:
        """Look every `LOOK_EVERY_S` whether those live from whom work may come."""
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            if self._others and self._is_to_look:
                with suppress(EventsError):
                    await self._look()

    @property
    def _is_to_look(self) -> bool:
        """Whether work may come, or one that was silent may have come back."""
        return len(self._assigned) < len(self._consumers) or bool(self._gone)

    async def _look(self) -> None:
        """Ask the server for the connections of the others, and share with those that live."""
        asked = {
            str(one.facts.connection): one.name for one in self._others if one.facts.connection
        }
        living: set[str] = set()
        if asked:
            node = await self._event_log.server.at(self._changed)
            try:
                raw = await node.call("CLIENT LIST", "ID", *asked)
            except ServerRefusedError:
                living = {*asked}  # an account may not ask: those that give signs live
            else:
                clients = reply(raw, list[dict[str, str]])
                living = {one["id"] for one in clients if int(one["idle"]) < SILENT_S}
        before = self._gone
        self._gone = frozenset(name for one, name in asked.items() if one not in living)
        self._share()
        for name in self._gone - before:
            self._log.warning("process_gone", name=name)
            for consumer in self._consumers:
                self._tasks.start_soon(consumer.take_over, name)

    def _share(self) -> None:
        """Compute what is ours among those that live."""
        if self._has_left:
            return
        living = {self._name, *(one.name for one in self._others)} - self._gone
        count = len(self._consumers)
        is_free = self._consumers[0].shares_freely
        self._assign(partitions_of(self._name, count, living, shares_freely=is_free))

    def _assign(self, assigned: frozenset[int]) -> None:
        if assigned == self._assigned:
            return
        self._log.info("partitions_assigned", partitions=sorted(assigned))
        for place, consumer in enumerate(self._consumers):
            self._tasks.start_soon(consumer.assign if place in assigned else consumer.withdraw)
        self._assigned = assigned


async def tell_of_change(log: EventLog, name: str) -> str:
    """Wake the processes that share work, for *name* has come or gone; return the change's id."""
    told = ("XADD", log.keys.processes_changed, "MAXLEN", 1, "*", "process", name)
    return reply(await log.server.client.call(*told), bytes).decode()


@asynccontextmanager
async def sharing(
    log: EventLog,
    member: tuple[str, str],
    facts: ProcessFacts,
    consumers: Sequence[PartitionConsumer],
) -> AsyncIterator[GroupMembership]:
    """Let *consumers*, one for each partition, share them with the group's other processes.

    Args:
        log: The log on which the group's processes are noted.
        member: The group and the name of this process.
        facts: What the process says of itself.
        consumers: Run them within the block.
    """
    membership = GroupMembership(log, member, facts, consumers)
    async with in_background(membership.run):
        try:
            yield membership
        finally:
            await membership.leave()
