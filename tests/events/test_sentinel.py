"""A log whose master sentinels name: what outlives a failover, and whom a process believes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer, free_port
from events.entry.entry_id import START, EntryId
from events.errors import NotDurableError, ServerRefusedError, ServerUnavailableError
from events.log.accepted_loss import accept_loss
from events.log.batch import Durability
from events.log.log import EventLog, open_log
from projections.read_model.reader import open_reader
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.examination import examined
from tests.support.log_lines import captured_lines
from tests.support.projectors import member
from tests.support.running_consumer import (
    GROUP,
    Handling,
    append,
    consumer_of,
    consuming,
    created,
    until_settled,
)
from tests.support.sentinel_servers import MASTER, SentinelServers
from tests.support.server_set import ask
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

TIMEOUT_S = 60.0
ON_ALL = Durability(replicas=2, timeout_ms=2_000)


@asynccontextmanager
async def followed(log: EventLog) -> AsyncIterator[list[EntryId]]:
    """Follow the log beside the block; give what has come so far."""
    arrived: list[EntryId] = []

    async def follow() -> None:
        async for entry in log.follow_entries(START):
            arrived.extend([entry.entry_id])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        yield arrived
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def appending(log: EventLog) -> AsyncIterator[list[EntryId]]:
    """Append one event after the other beside the block; give those acknowledged by all."""
    acknowledged: list[EntryId] = []

    async def load() -> None:
        while True:
            try:
                done = await log.append(created(), durability=ON_ALL)
            except (NotDurableError, ServerUnavailableError):
                continue
            acknowledged.extend(done.entry_ids)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load)
        await wait_until(lambda: len(acknowledged) > 10, "ten are acknowledged", TIMEOUT_S)
        yield acknowledged
        tasks.cancel_scope.cancel()


async def ids_in(log: EventLog) -> set[EntryId]:
    return {recorded.entry_id async for recorded in log.read()}


async def master_port(log: EventLog) -> int:
    return (await log.server.at("")).place.port


async def is_left(server: EmbeddedServer) -> bool:
    return "name=routestream" not in str(await ask(server, "CLIENT", "LIST"))


@pytest.mark.parametrize("how", ["killed", "paused", "replaced as planned"])
async def test_what_all_replicas_acknowledged_outlives_a_master_that_is(
    how: str, own_sentinels: SentinelServers
) -> None:
    handling = Handling()
    async with (
        open_log(own_sentinels.url(), source="test") as log,
        followed(log) as arrived,
        consuming(consumer_of(log, handling)),
    ):
        async with appending(log) as acknowledged:
            old = await own_sentinels.master()
            if how == "replaced as planned":
                await own_sentinels.failover()
                await wait_until(partial(is_left, old), "nobody is left there", TIMEOUT_S)
            else:
                (own_sentinels.kill if how == "killed" else own_sentinels.pause)(old)
                await own_sentinels.until_promoted(old)
            after = await append(log)
        assert await master_port(log) != old.port

        await wait_until(lambda: set(after) <= set(arrived), "it is followed", TIMEOUT_S)
        with anyio.fail_after(TIMEOUT_S):
            await handling.until_handled(*after)
        assert set(acknowledged) <= await ids_in(log)
        assert set(acknowledged) <= set(handling.handled)
        assert set(acknowledged) <= set(arrived)


async def until_lost_and_promoted(log: EventLog, servers: SentinelServers) -> list[EntryId]:
    """Append what no replica gets, and kill the master; return that when a replica is promoted."""
    old, replicas = await servers.master(), await servers.replicas()
    for replica in replicas:
        servers.pause(replica)
    await ask(old, "CLIENT", "KILL", "TYPE", "replica")
    lost = await append(log, 3)
    await until_settled(log, ROUTE_TABLE.name)
    servers.kill(old)
    for replica in replicas:
        servers.resume(replica)
    await servers.until_promoted(old)
    return lost


async def test_what_a_failover_lost_is_told_and_readers_keep_what_they_had(
    own_sentinels: SentinelServers,
) -> None:
    handling = Handling()
    with captured_lines() as lines:
        async with (
            open_log(own_sentinels.url(), source="test") as log,
            consuming(consumer_of(log, handling), member(log, ROUTE_TABLE)),
        ):
            kept = await append(log, 2)
            await until_settled(log, ROUTE_TABLE.name)
            await own_sentinels.until_replicated()
            async with open_reader(log) as reader:
                lost = await until_lost_and_promoted(log, own_sentinels)
                await wait_until(lambda: len(handling.handled) == 5, "all are handled", TIMEOUT_S)
                # As many as were lost: the new history is as long as the old one.
                after = await append(log, 3)
                await wait_until(lambda: reader.state == "history_missing", "it says so", TIMEOUT_S)
                assert len(list(reader.endpoints())) == 5
                await wait_until(partial(says_what_to_do, log), "the doctor says it", TIMEOUT_S)
                with anyio.fail_after(TIMEOUT_S):
                    await handling.until_handled(*after)
                await wait_until(lambda: any(lost_by(lines, GROUP)), "the loss is told", TIMEOUT_S)

                await accept_loss(log.server.client, log.keys, log.layout)
                await wait_until(lambda: reader.state == "following", "it goes on", TIMEOUT_S)
                await until_settled(log, ROUTE_TABLE.name)
                assert await ids_in(log) == {*kept, *after}

    assert lost_by(lines, GROUP) == [str(one) for one in lost]


async def says_what_to_do(log: EventLog) -> bool:
    """Whether an error that the doctor finds names the command that goes on."""
    findings = await examined(log.server.settings.url, log.keys.namespace)
    return any(one.severity == "error" and "accept-loss" in one.to_do for one in findings)


def lost_by(lines: list[Any], group: str) -> list[str]:
    told = [one for one in lines if one["event"] == "history_lost" and one["group"] == group]
    return [entry_id for one in told for entry_id in one["entry_ids"]]


async def test_only_a_master_that_most_sentinels_name_is_believed(
    patient_sentinels: SentinelServers,
) -> None:
    with pytest.raises(ServerRefusedError, match="the sentinels know no master 'nobody'"):
        async with open_log(patient_sentinels.url("nobody")):
            pass

    master = await patient_sentinels.master()
    liar, other, _ = watching = patient_sentinels.sentinels.servers
    stranger = free_port()
    await ask(liar, "SENTINEL", "REMOVE", MASTER)
    await ask(liar, "SENTINEL", "MONITOR", MASTER, "127.0.0.1", stranger, 1)
    async with open_log(patient_sentinels.url(), source="test") as log:
        assert await master_port(log) == master.port

        patient_sentinels.sentinels.kill(other)
        with pytest.raises(ServerUnavailableError, match=f"names 127.0.0.1:{stranger}"):
            async with open_log(patient_sentinels.url()):
                pass
        await log.server.node((await log.server.at("")).place).connection_pool.disconnect()
        [before] = await append(log)
        for sentinel in watching:
            patient_sentinels.sentinels.kill(sentinel)
        await patient_sentinels.restart(master)
        [after] = await append(log)
        assert {before, after} == await ids_in(log)
        assert await master_port(log) == master.port


async def test_sentinels_have_a_login_of_their_own(patient_sentinels: SentinelServers) -> None:
    for sentinel in patient_sentinels.sentinels.servers:
        await ask(sentinel, "ACL", "SETUSER", "watcher", "on", ">a:b@c", "+@all", "&*")
    login = {"sentinel_username": "watcher", "sentinel_password": quote("a:b@c")}
    async with open_log(patient_sentinels.url(**login), source="test") as log:
        assert len(await append(log)) == 1
    with pytest.raises(ServerUnavailableError, match="user and password"):
        async with open_log(patient_sentinels.url(**login | {"sentinel_password": "wrong"})):
            pass


async def test_a_new_master_that_does_not_know_the_account_yet_is_given_time(
    own_sentinels: SentinelServers,
) -> None:
    account = ("ACL", "SETUSER", "app", "on", ">secret", "+@all", "~*", "&*")
    old, replicas = await own_sentinels.master(), await own_sentinels.replicas()
    await ask(old, *account)
    url = own_sentinels.url().replace("://", "://app:secret@")
    appended: list[EntryId] = []
    with captured_lines() as lines:

        def is_refused() -> bool:
            return any("user and password" in str(one.get("error")) for one in lines)

        async with open_log(url, source="test") as log, anyio.create_task_group() as tasks:
            await append(log)
            own_sentinels.kill(old)
            await own_sentinels.until_promoted(old)

            async def append_after() -> None:
                appended.extend(await append(log))

            tasks.start_soon(append_after)
            await wait_until(is_refused, "the new master refuses", TIMEOUT_S)
            for replica in replicas:
                await ask(replica, *account)
            await wait_until(lambda: len(appended) == 1, "it is appended", TIMEOUT_S)
    with pytest.raises(ServerRefusedError, match="user and password"):
        async with open_log(url.replace("secret", "wrong")):
            pass
