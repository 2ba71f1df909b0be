"""Changes weights and health all the time, and checks that a reader never goes back."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from uuid import UUID

import anyio

from consumers.cli.demo.checks import STEP_TIMEOUT_S
from consumers.cli.demo.cluster import Cluster
from events.entry.entry_id import EntryId
from projections.read_model.reader import RouteTableReader

_WEIGHT_EVERY_S = 0.02
_WEIGHTS = (0.5, 0.25, 0.75, 1.0)


class LiveChanges:
    """Changes weights without a pause, and kills and restarts one replica, until it is ended.

    Attributes:
        weights: How many weights it has recorded.
        healths: How often a replica has left the reader's table, or come back to it.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.weights = 0
        self.healths = 0
        self._cluster = cluster
        self._is_ending = False

    def end(self) -> None:
        """Stop once the initial state is restored: weight 1, and the replica is routable."""
        self._is_ending = True

    async def change_weights(self) -> None:
        """Give the first replica of chat one weight after the other; the last one is 1."""
        endpoint_id = self._cluster.endpoints["chat"]
        route_id = self._cluster.replicas["chat"][0].route_id
        for turn in count():
            ratio = _WEIGHTS[turn % len(_WEIGHTS)]
            await self._cluster.service.set_traffic_ratio(endpoint_id, route_id, ratio)
            self.weights += 1
            if self._is_ending and ratio == 1.0:
                return
            await anyio.sleep(_WEIGHT_EVERY_S)

    async def change_health(self) -> None:
        """Kill and restart the last replica of embed; the checkers record its health."""
        replica = self._cluster.replicas["embed"][-1]
        while not self._is_ending:
            await replica.kill()
            await self._until(lambda: replica.route_id not in self._routable("embed"))
            await replica.start()
            await self._until(lambda: replica.route_id in self._routable("embed"))

    async def _until(self, holds: Callable[[], bool]) -> None:
        with anyio.move_on_after(STEP_TIMEOUT_S):
            while not holds():
                await self._cluster.reader.changed()
            self.healths += 1

    def _routable(self, name: str) -> set[UUID]:
        routes = self._cluster.reader.routable(self._cluster.endpoints[name])
        return {route.route_id for route in routes}


class Witness:
    """Compares the versions that a reader has at every change, and notes those that went back.

    Attributes:
        looks: How often it has compared them.
        went_back: Endpoint, the version that the reader had, and the older one that it had next.
    """

    def __init__(self, reader: RouteTableReader) -> None:
        self.looks = 0
        self.went_back: list[tuple[UUID, EntryId, EntryId]] = []
        self._reader = reader
        self._versions: dict[UUID, EntryId] = {}

    async def watch(self) -> None:
        """Compare at every change until cancelled."""
        while True:
            self._look()
            await self._reader.changed()

    def _look(self) -> None:
        now = {one.endpoint_id: one.version for one in self._reader.endpoints()}
        for endpoint_id, before in self._versions.items():
            version = now.get(endpoint_id, before.before())
            if version < before:
                self.went_back.append((endpoint_id, before, version))
        self._versions = now
        self.looks += 1


@asynccontextmanager
async def live_changes(cluster: Cluster) -> AsyncIterator[tuple[LiveChanges, Witness]]:
    """Change weights and health within the block, while a witness watches the reader."""
    changes, witness = LiveChanges(cluster), Witness(cluster.reader)
    async with anyio.create_task_group() as watching:
        watching.start_soon(witness.watch)
        async with anyio.create_task_group() as changing:
            changing.start_soon(changes.change_weights)
            changing.start_soon(changes.change_health)
            yield changes, witness
            changes.end()
        watching.cancel_scope.cancel()
