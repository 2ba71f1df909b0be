"""A member of a projector's group that does one thing at a time, and may die between any two."""

from typing import Any

from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.outcome import Delivery, RetryPolicy
from consumers.runtime.projector import Projector
from events import EventLog
from events.entry.recorded import entries_of
from events.errors import NoGroupError
from projections.projection import Projection
from projections.snapshots.snapshot_store import Snapshots

BATCH = 100
NEVER_GIVEN_UP = RetryPolicy(tries_max=1_000, first_s=0.01, most_s=0.02)
"""Who dies again and again must not make an entry a dead letter here: then a fold would lack it."""

SETTINGS = ConsumerSettings(batch_size=BATCH, block_ms=100, policy=NEVER_GIVEN_UP)


class Member:
    """A consumer whose loop is the test: what it was given it holds until it is told to go on."""

    def __init__(
        self, log: EventLog, projection: Projection[Any], name: str, snapshots: Snapshots
    ) -> None:
        self.projection = projection
        self.name = name
        self._log = log
        self._group = projection.read_model
        self._projector = Projector(log, projection, 0, NEVER_GIVEN_UP, snapshots)
        self._consumer = Consumer(log, 0, (self._group, name), self._projector, SETTINGS)
        self._given: list[Delivery] = []
        self._has_begun = False

    async def take(self, count: int) -> int:
        """Be given up to *count* new entries, and hold them."""
        await self._begin()
        words = ("XREADGROUP", "GROUP", self._group, self.name, "COUNT", count)
        client, history = self._log.server.client, self._consumer._history
        try:
            await history.look()
            reply = await client.execute_command(*words, "STREAMS", self._log.keys.events(0), ">")
            await history.look()
        except NoGroupError:
            self._has_begun = False
            return await self.take(count)
        arrived = [Delivery(entry) for entry in entries_of(reply[0][1], 0)] if reply else []
        history.note(arrived)
        self._given += arrived
        return len(arrived)

    async def fold(self) -> None:
        """Fold and apply what is held, from the documents that were held before."""
        given, self._given = self._given, []
        if given:
            await self._process(given)

    async def claim(self) -> None:
        """Take over all that is pending with anybody, however short it was idle."""
        await self._begin()
        try:
            await self._consumer._look_after_group()
            async for batch in self._consumer._pending.idle(BATCH, 0):
                await self._process(batch)
        except NoGroupError:
            self._has_begun = False

    async def look(self) -> None:
        """Do what a consumer does that has nothing to do."""
        if self._has_begun:
            await self._projector.idle()

    async def _begin(self) -> None:
        """As `Consumer.run` does at its start, and after its group was lost."""
        while not self._has_begun:
            self._has_begun = True
            self._given = []
            try:
                await self._consumer._history.compare()
                await self._consumer._group.ensure(await self._projector.prepare())
                await self._consumer._group.join(self.name)
                async for batch in self._consumer._pending.own(BATCH):
                    await self._process(batch)
            except NoGroupError:
                self._has_begun = False

    async def _process(self, batch: list[Delivery]) -> None:
        try:
            await self._consumer._process(batch)
        except NoGroupError:
            self._has_begun = False
