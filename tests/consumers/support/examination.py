"""What the tests of the doctor stand on: an examination, and how a finding is looked for in it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from consumers.doctor.examination import examine
from consumers.doctor.finding import Finding
from consumers.doctor.server_queries import ServerQueries
from consumers.runtime.projector import Projector
from events.log.keys import Keys
from events.log.log import EventLog
from events.server.server import Server
from events.server.settings import ServerSettings
from projections.health_state.health_state import HEALTH_STATE
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import QUICK, consumer_of, consuming, until_settled


async def examined(
    url: str,
    namespace: str = "nothing",
    *,
    partitions: int | None = None,
    user: str | None = None,
    look_again_after_s: float = 0,
) -> Sequence[Finding]:
    """Examine a deployment as `routestream doctor` does."""
    server = Server(ServerSettings(url=url))
    try:
        return (
            await examine(
                ServerQueries(server),
                Keys(namespace),
                partitions,
                user=user,
                look_again_after_s=look_again_after_s,
            )
        ).findings
    finally:
        await server.aclose()


async def examined_log(log: EventLog, **options: Any) -> Sequence[Finding]:  # noqa: ANN401
    return await examined(log.server.settings.url, log.keys.namespace, **options)


def found(findings: Sequence[Finding], about: str) -> Finding:
    """Return the one finding about *about*."""
    [finding] = [one for one in findings if one.about == about]
    return finding


def not_well(findings: Sequence[Finding]) -> dict[str, str]:
    """Return the severity of all that is not well, by what it is about."""
    return {one.about: one.severity for one in findings if one.severity != "ok"}


@asynccontextmanager
async def projecting(log: EventLog) -> AsyncIterator[None]:
    """Keep both read models beside the block, without a word among what commands print."""
    table = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    health = Projector(log, HEALTH_STATE, 0, QUICK.policy)
    consumers = (
        consumer_of(log, table, group=ROUTE_TABLE.name),
        consumer_of(log, health, group=HEALTH_STATE.name),
    )
    with captured_lines():
        async with consuming(*consumers):
            for group in (ROUTE_TABLE.name, HEALTH_STATE.name):
                await until_settled(log, group)
            yield
