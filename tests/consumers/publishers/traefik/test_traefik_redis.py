"""The real Traefik, and what can happen to the Redis that it reads."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import anyio.to_thread
import pytest
from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer
from consumers.processes.traefik_process import TraefikProcess
from consumers.publishers.traefik import applied_watch, redis_publisher
from consumers.publishers.traefik.redis_publisher import TRAEFIK_REDIS
from events import EventLog
from events.entry.entry_id import EntryId
from tests.consumers.publishers.support.black_hole import black_hole
from tests.consumers.publishers.support.traefik_dialects import Dialect
from tests.consumers.publishers.support.traefik_world import (
    Publishing,
    Requests,
    endpoint,
    model_servers,
    publishing,
    requests_through,
    until_counted,
)
from tests.support.read_model import WrittenTable
from tests.support.servers import asking
from tests.support.waiting import wait_until

pytestmark = pytest.mark.parametrize("dialect", [TRAEFIK_REDIS.name], indirect=True)

PATH = f"/endpoints/{UUID(int=1)}/v1/chat"


@pytest.fixture(autouse=True)
def look_early() -> Iterator[None]:
    """Let a revision be late sooner, and a Traefik that lacks it be told again sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(applied_watch, "LATE_S", 1.0)
        patch.setattr(redis_publisher, "REMIND_S", 0.5)
        yield


def at(number: int) -> EntryId:
    return EntryId(10, number)


def keys_of(dialect: Dialect) -> EmbeddedServer:
    assert dialect.keys is not None
    return dialect.keys


async def until_written(published: Publishing, dialect: Dialect) -> None:
    await published.until_acknowledged(f"redis://127.0.0.1:{keys_of(dialect).port}/3 traefik")


async def test_a_redis_that_is_killed_costs_nothing_and_the_next_change_arrives(
    log: EventLog, dialect: Dialect, requests: Requests
) -> None:
    table = WrittenTable(log)
    async with model_servers("a", "b") as (a, b):
        await table.begin(endpoint(1, a.route(), version=at(1)))
        async with publishing(log, dialect.publisher, dialect.settings) as published:
            await published.until_acknowledged(dialect.proxy)
            async with requests.load(PATH) as answers:
                keys_of(dialect).kill()
                await until_counted(answers, 50)
                await table.put(endpoint(1, b.route(), version=at(2)))
                await published.until_table(at(2))
                await until_counted(answers, 10)
                assert answers.keys() == {"a"}
                keys_of(dialect).start()
                await published.until_acknowledged(dialect.proxy)
            assert answers.keys() <= {"a", "b"}
            await requests.until_newest(PATH, published)
            assert await requests.send(PATH, 4) == {"b": 4}


async def test_a_redis_that_came_back_empty_takes_no_route_away(
    log: EventLog, dialect: Dialect, requests: Requests
) -> None:
    table = WrittenTable(log)
    other = f"/endpoints/{UUID(int=2)}/v1/chat"
    async with model_servers("a", "b") as (a, b):
        await table.begin(
            endpoint(1, a.route(), version=at(1)), endpoint(2, a.route(), version=at(2))
        )
        async with publishing(log, dialect.publisher, dialect.settings) as published:
            await published.until_acknowledged(dialect.proxy)
            async with requests.load(other) as answers:
                async with asking(keys_of(dialect)) as client:
                    await client.call("FLUSHALL")
                await until_counted(answers, 20)
                await table.put(endpoint(1, b.route(), version=at(3)))
                await requests.until(PATH, "b")
                await published.until_acknowledged(dialect.proxy)
            assert answers.keys() == {"a"}


async def test_a_key_that_blocks_traefik_is_told_and_once_gone_all_arrives(
    log: EventLog, dialect: Dialect, requests: Requests
) -> None:
    table = WrittenTable(log)
    poison = "traefik/http/services/by-hand/loadbalancer/servers/0/weight"
    async with model_servers("a", "b") as (a, b):
        await table.begin(endpoint(1, a.route(), version=at(1)))
        async with (
            publishing(log, dialect.publisher, dialect.settings) as published,
            asking(keys_of(dialect)) as client,
        ):
            await published.until_acknowledged(dialect.proxy)
            await client.call("SELECT", 3)
            await client.call("SET", poison, "abc")
            await table.put(endpoint(1, b.route(), version=at(2)))
            await published.until_table(at(2))
            notes = published.ledger.proxy(dialect.proxy)
            await wait_until(lambda: notes.state.refused == 1, "the refusal is noted", 30.0)
            assert "has revision 10-1 and does not take 10-2" in notes.state.refusals[0].why
            assert notes.state.is_behind
            assert await requests.send(PATH, 4) == {"a": 4}
            await client.call("DEL", poison)
            await published.until_acknowledged(dialect.proxy)
            assert (notes.state.refused, notes.state.problem) == (0, None)
            await requests.until_newest(PATH, published)
            assert await requests.send(PATH, 4) == {"b": 4}


async def test_a_hung_redis_is_no_error_for_requests(
    log: EventLog, dialect: Dialect, requests: Requests
) -> None:
    table = WrittenTable(log)
    server = f"{keys_of(dialect).url}/3?socket_timeout=0.5"
    redis = replace(dialect.settings.publish.traefik_redis, url=server)
    settings = replace(
        dialect.settings, publish=replace(dialect.settings.publish, traefik_redis=redis)
    )
    async with model_servers("a", "b") as (a, b):
        await table.begin(endpoint(1, a.route(), version=at(1)))
        async with publishing(log, dialect.publisher, settings) as published:
            await published.until_acknowledged(dialect.proxy)
            keys = published.ledger.proxy(f"redis://127.0.0.1:{keys_of(dialect).port}/3 traefik")
            async with requests.load(PATH) as answers:
                keys_of(dialect).pause()
                try:
                    await table.put(endpoint(1, b.route(), version=at(2)))
                    await wait_until(lambda: keys.state.problem is not None, "it is told", 30.0)
                    await until_counted(answers, 20)
                    assert answers.keys() == {"a"}
                finally:
                    keys_of(dialect).resume()
                await published.until_acknowledged(dialect.proxy)
            assert answers.keys() <= {"a", "b"}
            assert keys.state.problem is None


async def test_a_traefik_that_hears_nothing_is_told_and_has_all_once_restarted(
    log: EventLog, dialect: Dialect, tmp_path: Path
) -> None:
    table, port = WrittenTable(log), keys_of(dialect).port
    async with model_servers("a", "b") as (a, b), black_hole(port) as hole:
        direct, around = f"127.0.0.1:{port}", f"127.0.0.1:{hole.port}"
        options = [option.replace(direct, around) for option in dialect.options]
        await table.begin(endpoint(1, a.route(), version=at(1)))
        async with started(TraefikProcess(tmp_path, *options)) as traefik:
            dialect.proved_by(traefik)
            async with (
                requests_through(traefik) as requests,
                publishing(log, dialect.publisher, dialect.settings) as published,
            ):
                await published.until_acknowledged(dialect.proxy)
                hole.swallow()
                await table.put(endpoint(1, b.route(), version=at(2)))
                await published.until_table(at(2))
                notes = published.ledger.proxy(dialect.proxy)
                await wait_until(lambda: notes.state.refused == 1, "it is noted", 30.0)
                assert notes.state.is_behind
                assert await requests.send(PATH, 4) == {"a": 4}
                traefik.kill()
                await anyio.to_thread.run_sync(traefik.start)
                await published.until_acknowledged(dialect.proxy)
                await requests.until(PATH, "b")


@asynccontextmanager
async def started(traefik: TraefikProcess) -> AsyncIterator[TraefikProcess]:
    """Run *traefik*, which needs what this process serves before it starts."""
    try:
        await anyio.to_thread.run_sync(traefik.start)
        yield traefik
    finally:
        traefik.kill()


async def test_two_publishers_on_one_root_leave_what_the_table_says(
    log: EventLog, dialect: Dialect, requests: Requests
) -> None:
    table = WrittenTable(log)
    async with model_servers("a", "b") as (a, b):
        await table.begin(endpoint(1, a.route(), version=at(1)))
        async with (
            publishing(log, dialect.publisher, dialect.settings) as one,
            publishing(log, dialect.publisher, dialect.settings) as other,
        ):
            for number in range(2, 40):
                await table.put(endpoint(1, (a, b)[number % 2].route(), version=at(number)))
            for published in (one, other):
                await published.until_table(at(39))
                await until_written(published, dialect)
                await published.until_acknowledged(dialect.proxy)
                await requests.until_newest(PATH, published)
            assert await requests.send(PATH, 4) == {"b": 4}
