"""Two real Traefiks, fed in the two ways from one log, end with the same routes."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest

from consumers.processes.traefik_process import (
    TraefikProcess,
    is_traefik_installed,
    traefik_process,
)
from events import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.publishers.support.traefik_dialects import NAMES, Dialect, dialect_named
from tests.consumers.publishers.support.traefik_world import Publishing, publishing
from tests.support.projectors import member, rebuild
from tests.support.running_consumer import consuming, fill
from tests.support.waiting import wait_until

Fed = tuple[Dialect, TraefikProcess]


@pytest.fixture
def both() -> Iterator[list[Fed]]:
    if not is_traefik_installed():
        pytest.skip("the extra `traefik` is not installed")
    with ExitStack() as running:
        dialects = [running.enter_context(dialect_named(name)) for name in NAMES]
        started = [running.enter_context(traefik_process(*one.options)) for one in dialects]
        for dialect, traefik in zip(dialects, started, strict=True):
            dialect.proved_by(traefik)
        yield list(zip(dialects, started, strict=True))


async def routed_by(session: aiohttp.ClientSession, fed: Fed) -> dict[str, Any]:
    """Return the rule and the weighed servers of each router of our provider."""
    dialect, traefik = fed
    found: dict[str, Any] = {}
    for what in ("routers", "services"):
        async with session.get(f"{traefik.api}/api/http/{what}?per_page=1000") as response:
            found[what] = [
                one for one in await response.json() if one["provider"] == dialect.provider
            ]
    servers = {
        one["name"]: {
            server["url"]: server.get("weight", 1)
            for server in one["loadBalancer"].get("servers") or ()
            if server.get("weight") != 0
        }
        for one in found["services"]
    }
    return {
        one["name"].partition("@")[0]: (
            one["rule"],
            [name.partition("@")[0] for name in one["middlewares"]],
            servers[one["service"].partition("@")[0] + "@" + dialect.provider],
        )
        for one in found["routers"]
    }


async def until_acknowledged(log: EventLog, published: Publishing, dialect: Dialect) -> None:
    """Wait until the Traefik has all that is in the log."""
    head = str(await log.head(0))
    notes = published.ledger.proxy(dialect.proxy)
    await wait_until(lambda: notes.state.acknowledged == head, f"Traefik has {head}", 30.0)


async def both_have(log: EventLog, both: list[Fed], published: list[Publishing]) -> dict[str, Any]:
    """Return what both have, once they have all that is in the log."""
    found = []
    async with aiohttp.ClientSession() as session:
        for fed, one in zip(both, published, strict=True):
            await until_acknowledged(log, one, fed[0])
            found.append(await routed_by(session, fed))
    assert found[0] == found[1]
    return found[0]


async def test_both_have_the_same_routes_at_the_same_revision(
    log: EventLog, both: list[Fed]
) -> None:
    (http, _), (redis, _) = both
    async with consuming(member(log, ROUTE_TABLE)):
        await fill(log, 5)
        async with (
            publishing(log, http.publisher, http.settings) as one,
            publishing(log, redis.publisher, redis.settings) as other,
        ):
            assert len(await both_have(log, both, [one, other])) == 5
            await rebuild(log)
            await fill(log, 3)
            assert len(await both_have(log, both, [one, other])) == 8
