"""A real Traefik whose keys lie behind real sentinels, through a failover."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from consumers.processes.traefik_process import traefik_process
from consumers.publishers.settings import PublishSettings
from consumers.publishers.traefik.redis_publisher import TRAEFIK_REDIS
from consumers.publishers.traefik.traefik_settings import TraefikRedisSettings
from consumers.settings import Settings
from events import EventLog
from events.entry.entry_id import EntryId
from tests.consumers.publishers.support.traefik_dialects import BY_PATH
from tests.consumers.publishers.support.traefik_world import (
    endpoint,
    model_servers,
    publishing,
    requests_through,
    until_counted,
)
from tests.consumers.publishers.traefik.conftest import skip_without_traefik
from tests.support.read_model import WrittenTable
from tests.support.sentinel_servers import MASTER, sentinel_servers
from tests.support.waiting import wait_until

PATH = f"/endpoints/{UUID(int=1)}/v1/chat"
NOBODY = "redis://127.0.0.1:1/3"


@pytest.mark.timeout(240)
async def test_a_failover_of_the_store_costs_no_request_and_changes_go_on(
    log: EventLog,
) -> None:
    skip_without_traefik()
    table = WrittenTable(log)
    async with sentinel_servers() as watched:
        options = (
            f"--providers.redis.endpoints=127.0.0.1:{watched.sentinels.servers[0].port}",
            *("--providers.redis.rootKey=traefik", "--providers.redis.db=3"),
            f"--providers.redis.sentinel.masterName={MASTER}",
        )
        with traefik_process(*options) as traefik:
            store = TraefikRedisSettings(url=NOBODY, sentinels=watched.urls, master=MASTER)
            store = replace(store, apis=(traefik.api,))
            settings = Settings(publish=PublishSettings(traefik=BY_PATH, traefik_redis=store))
            async with model_servers("a", "b") as (a, b), requests_through(traefik) as requests:
                await table.begin(endpoint(1, a.route(), version=EntryId(10, 1)))
                async with publishing(log, TRAEFIK_REDIS, settings) as published:
                    await requests.until(PATH, "a")
                    async with requests.load(PATH) as answers:
                        await watched.until_replicated()
                        master = await watched.master()
                        watched.kill(master)
                        await table.put(endpoint(1, b.route(), version=EntryId(10, 2)))
                        await watched.until_promoted(master)
                        await requests.until(PATH, "b")
                        await until_counted(answers, 20)
                    assert answers.keys() == {"a", "b"}
                    await published.until_acknowledged(traefik.api)
                    assert await requests.send(PATH, 10) == {"b": 10}


async def test_sentinels_that_know_no_master_are_told_of(log: EventLog) -> None:
    async with sentinel_servers() as watched:
        store = TraefikRedisSettings(url=NOBODY, sentinels=watched.urls, master="another")
        settings = Settings(publish=PublishSettings(traefik=BY_PATH, traefik_redis=store))
        await WrittenTable(log).begin(endpoint(1, version=EntryId(10, 1)))
        async with publishing(log, TRAEFIK_REDIS, settings) as published:
            notes = published.ledger.proxy("sentinel another traefik")
            await wait_until(lambda: notes.state.problem is not None, "it is said", 30.0)

    assert "know no master another" in str(notes.state.problem)


def test_the_masters_address_takes_the_place_of_the_urls_alone() -> None:
    store = TraefikRedisSettings(url="rediss://u:p%40w@one:1/3?socket_timeout=2")

    assert store.url_at("10.0.0.2", 6380) == "rediss://u:p%40w@10.0.0.2:6380/3?socket_timeout=2"
    assert store.url_at("fd00::1", 6380) == "rediss://u:p%40w@[fd00::1]:6380/3?socket_timeout=2"
