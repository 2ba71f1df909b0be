"""Projectors of one partition, and read models rebuilt beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.projector import Projector
from events import EventLog
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild, Rebuilt
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.running_consumer import consuming, until_settled

GREEDY = ConsumerSettings(
    batch_size=9, block_ms=20, claim_idle_ms=20, policy=RetryPolicy(first_s=0.01, most_s=0.05)
)
"""Small batches and early claims: the same entries are folded here and there."""

POLITE = replace(GREEDY, claim_idle_ms=600_000)
QUICK = replace(POLITE, batch_size=50)


def member(
    log: EventLog,
    projection: Projection[Any],
    name: str = "one",
    settings: ConsumerSettings = QUICK,
) -> Consumer:
    projector = Projector(log, projection, 0, settings.policy)
    return Consumer(log, 0, (projection.read_model, name), projector, settings)


@asynccontextmanager
async def settled(log: EventLog, projection: Projection[Any] = ROUTE_TABLE) -> AsyncIterator[None]:
    """Let a projector settle all there is, and stop it before the block."""
    async with consuming(member(log, projection)):
        await until_settled(log, projection.read_model)
    yield


def store_of(log: EventLog, projection: Projection[Any] = ROUTE_TABLE) -> ReadModelStore[Any]:
    return ReadModelStore(log.server, log.keys, projection, 0)


async def rebuild(log: EventLog, projection: Projection[Any] = ROUTE_TABLE) -> Rebuilt:
    return await Rebuild(log, store_of(log, projection), Folding(projection, 0)).run()
