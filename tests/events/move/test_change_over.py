"""Producers go on through a move: what was acknowledged is there, exactly once."""

from collections import Counter
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, RouteTrafficRatioUpdatedEvent, open_log
from events.errors import SealedLogError
from events.history.history import History
from events.log import log as log_module
from events.log.layout import LogPlace
from events.move.change_over import LogChangeOver, NotMovedError
from events.move.log_copy import LogCopy
from events.move.seal import Seal
from events.move.target import open_target
from events.server.server import open_server
from events.server.settings import ServerSettings
from producers.endpoints.endpoint_service import EndpointService
from producers.errors import EndpointDestroyedError
from tests.support.running_consumer import created
from tests.support.waiting import wait_until


async def begun(source: EventLog, namespace: str, partitions: int) -> tuple[EventLog, LogCopy]:
    target = await open_target(History(source), source.server, namespace, partitions, create=True)
    copy = LogCopy(History(source), target, lambda _count, _at: None)
    await copy.begin()
    return target, copy


async def move(source: EventLog, namespace: str, partitions: int) -> EventLog:
    target, copy = await begun(source, namespace, partitions)
    await copy.copy(await copy.settled_ends())
    change = LogChangeOver(source, target, LogPlace(namespace))
    async with change.sealed():
        ends = await change.ends()
        await copy.copy(ends)
        await change.commit(ends)
    return target


async def event_ids(log: EventLog) -> Counter[str]:
    return Counter(
        [
            entry.fields[b"id"].decode()
            for partition in range(log.partitions)
            async for entries in log.read_entries(partition)
            for entry in entries
        ]
    )


async def test_what_producers_were_told_is_there_once_and_in_their_order(
    redis_url: str, namespace: str
) -> None:
    acknowledged: dict[UUID, list[str]] = {}
    followed: set[str] = set()
    stop = anyio.Event()

    async def produce() -> None:
        endpoints = [uuid4() for _ in range(3)]
        async with open_log(redis_url, namespace=namespace) as log:
            while not stop.is_set():
                ids = [uuid4() for _ in endpoints]
                await log.append(*map(ratio, endpoints), event_ids=ids)
                for endpoint, one in zip(endpoints, ids, strict=True):
                    acknowledged.setdefault(endpoint, []).append(str(one))
                if log.current is not log:
                    followed.add(log.current.keys.namespace)

    async with open_log(redis_url, namespace=namespace, partitions=3) as source:
        async with anyio.create_task_group() as producers:
            for _ in range(4):
                producers.start_soon(produce)
            await wait_until(lambda: len(acknowledged) == 12, "all producers began", 60)
            target = await move(source, f"{namespace}-1", 5)
            target = await move(target_opened(target), f"{namespace}-2", 2)
            await wait_until(lambda: target.keys.namespace in followed, "they followed", 60)
            stop.set()
        told = Counter(one for ids in acknowledged.values() for one in ids)
        assert await event_ids(target) == told
        for endpoint, ids in acknowledged.items():
            in_log = [
                recorded.event_id
                async for recorded in target.read()
                if recorded.endpoint_id == endpoint
            ]
            assert in_log == ids


def target_opened(target: EventLog) -> EventLog:
    """Return the log as who opens it now sees it."""
    layout = type(target.layout)(target.partitions, target.layout.identity, is_complete=True)
    return EventLog(target.server, target.keys, layout, "test")


def ratio(endpoint: UUID) -> RouteTrafficRatioUpdatedEvent:
    return RouteTrafficRatioUpdatedEvent(endpoint_id=endpoint, route_id=endpoint, traffic_ratio=1.0)


async def test_an_append_whose_reply_was_lost_before_the_seal_is_not_added_again(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as source:
        event, event_id = created(), uuid4()
        await source.append(event, event_ids=[event_id])
        target = await move(source, f"{namespace}-b", 3)
        again = await source.append(event, event_ids=[event_id])
        assert again.entry_ids == (await target.endpoint_head(event.endpoint_id),)
        assert await event_ids(target) == {str(event_id): 1}


async def test_a_command_decides_on_the_state_at_the_new_place(
    redis_url: str, namespace: str
) -> None:
    async with (
        open_log(redis_url, namespace=namespace) as source,
        open_log(redis_url, namespace=namespace) as other,
    ):
        event = created()
        service, elsewhere = EndpointService(source), EndpointService(other)
        await service.create(event)
        await elsewhere.create(replace(created(), name="another"))
        await move(source, f"{namespace}-b", 3)
        await service.destroy(event.endpoint_id)
        with pytest.raises(EndpointDestroyedError):
            await elsewhere.destroy(event.endpoint_id)


async def test_a_log_that_is_opened_by_its_old_name_is_the_moved_one(
    redis_url: str, namespace: str, own_server: EmbeddedServer
) -> None:
    async with (
        open_log(redis_url, namespace=namespace) as source,
        open_server(ServerSettings(url=own_server.url)) as server,
    ):
        await source.append(created())
        target = await open_target(History(source), server, "moved", 4, create=True)
        copy = LogCopy(History(source), target, lambda _count, _at: None)
        await copy.begin()
        change = LogChangeOver(source, target, LogPlace("moved", own_server.url))
        async with change.sealed():
            await copy.copy(await change.ends())
            await change.commit(await change.ends())
        await source.append(created())
        async with open_log(redis_url, namespace=namespace, partitions=1) as opened:
            assert (opened.partitions, opened.keys.namespace) == (4, "moved")
            await opened.append(created())
        assert (await event_ids(target)).total() == 3


async def test_producers_go_on_in_the_source_where_a_move_ends_without_success(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_log(redis_url, namespace=namespace) as source:
        target, copy = await begun(source, f"{namespace}-b", 2)
        change = LogChangeOver(source, target, LogPlace(target.keys.namespace))
        async with change.sealed():
            ends = await change.ends()
            await copy.copy(ends)
            await source.server.client.call("XADD", source.keys.events(0), "*", "id", "x")
            with pytest.raises(NotMovedError, match="although it was sealed"):
                await change.commit(ends)
        # The seals are kept by then: the next run ends the move.
        monkeypatch.setattr(log_module, "SEAL_WAIT_S", 0.05)
        with pytest.raises(SealedLogError):
            await source.append(created())
        async with change.sealed():
            await copy.copy(await change.ends())
            await change.commit(await change.ends())
        await source.append(created())
        assert (await event_ids(target)).total() == 2


async def test_a_seal_that_is_not_kept_is_lifted_and_one_of_another_move_is_respected(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace) as source:
        target, _ = await begun(source, f"{namespace}-b", 2)
        change = LogChangeOver(source, target, LogPlace(target.keys.namespace))
        with pytest.raises(KeyError):
            async with change.sealed():
                raise KeyError
        await source.append(created())
        await Seal(source.server.client, source.keys, "another").take(0, "seal")
        with pytest.raises(NotMovedError, match="by another move"):
            async with change.sealed():
                pass
        assert await source.server.client.call("GET", source.keys.seal(0)) == b"another"
        with pytest.raises(NotMovedError, match="and then no more"):
            await change.commit(await change.ends())


async def test_a_seal_expires_if_the_process_that_moves_is_killed(log: EventLog) -> None:
    seal = Seal(log.server.client, log.keys, "target")
    assert await seal.take(0, "seal")
    ttl = await log.server.client.call("PTTL", log.keys.seal(0))
    assert isinstance(ttl, int)
    assert 0 < ttl <= 30_000
    assert await seal.take(0, "renew")
    assert await seal.take(0, "keep")
    assert await log.server.client.call("PTTL", log.keys.seal(0)) == -1
    assert not await seal.take(0, "lift")
