"""The real Traefik while much changes."""

from collections import Counter
from uuid import UUID

import anyio
import pytest

from events import EventLog
from events.entry.entry_id import EntryId
from projections.route_table.endpoint import Endpoint
from tests.consumers.publishers.support.traefik_dialects import Dialect
from tests.consumers.publishers.support.traefik_world import (
    Answers,
    ModelServer,
    Requests,
    endpoint,
    model_servers,
    publishing,
    until_counted,
)
from tests.support.read_model import WrittenTable

ENDPOINTS = 100
CHANGING = 5
CHANGES = 150


def path(number: int) -> str:
    return f"/endpoints/{UUID(int=number)}/v1/chat"


def at(number: int) -> EntryId:
    return EntryId(10, number)


@pytest.mark.timeout(180)
async def test_services_that_grow_and_shrink_all_the_time_cost_no_request(
    log: EventLog, dialect: Dialect, requests: Requests
) -> None:
    table = WrittenTable(log)
    async with model_servers(*"abcdefghijkl") as servers:
        first = [endpoint(n, servers[0].route(), version=at(n)) for n in range(1, ENDPOINTS + 1)]
        await table.begin(*first)
        async with publishing(log, dialect.publisher, dialect.settings) as published:
            await published.until_acknowledged(dialect.proxy)
            counted: list[Answers] = []
            async with anyio.create_task_group() as loads:
                for number in (1, 2, CHANGING + 1):
                    loads.start_soon(_load, requests, path(number), counted)
                for change in range(CHANGES):
                    await table.put(_changed(change, servers))
                    await anyio.sleep(0.01)  # so many changes a second at most, not all at once
                await published.until_table(at(ENDPOINTS + CHANGES))
                await published.until_acknowledged(dialect.proxy)
                for answers in counted:
                    await until_counted(answers, 10)
                loads.cancel_scope.cancel()
            total = sum(counted, Counter())
            assert set(total) <= {server.name for server in servers}, total


def _changed(change: int, servers: list[ModelServer]) -> Endpoint:
    """Return an endpoint with one to twelve routes, whose slots have to grow now and then."""
    routes = [server.route() for server in servers[: 1 + 11 * (change % 3) // 2]]
    return endpoint(1 + change % CHANGING, *routes, version=at(ENDPOINTS + 1 + change))


async def _load(requests: Requests, path: str, counted: list[Answers]) -> None:
    async with requests.load(path, clients=2) as answers:
        counted.append(answers)
        await anyio.sleep_forever()
