"""What an append, a search for the new place and a change-over say where they stop half way."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, open_log
from events.errors import IncompleteAppendError, ServerUnavailableError
from events.history.history import History
from events.log.keys import partition_of
from events.log.layout import LogPlace
from events.move import LogChangeOver, LogCopy, NotMovedError, open_target
from events.move.seal import Seal
from events.server.server import Server, open_server
from events.server.settings import ServerSettings
from tests.support.running_consumer import created
from tests.support.waiting import wait_until


@pytest.fixture
async def source(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, partitions=2) as opened:
        yield opened


@pytest.fixture
async def elsewhere(own_server: EmbeddedServer) -> AsyncIterator[Server]:
    async with open_server(ServerSettings(url=own_server.url)) as opened:
        yield opened


async def change_over(source: EventLog, server: Server, place: LogPlace) -> None:
    target = await open_target(History(source), server, place.namespace, 2, create=True)
    copy = LogCopy(History(source), target, lambda _count, _at: None)
    await copy.begin()
    change = LogChangeOver(source, target, place)
    async with change.sealed():
        ends = await change.ends()
        await copy.copy(ends)
        await change.commit(ends)


def endpoint_on(partition: int) -> UUID:
    return next(one for one in iter(uuid4, None) if partition_of(one, 2) == partition)


async def test_an_append_that_was_half_done_says_so_where_the_new_place_is_away(
    source: EventLog, own_server: EmbeddedServer
) -> None:
    await Seal(source.server.client, source.keys, "x").take(1, "seal")
    errors: list[Exception] = []

    async def append() -> None:
        try:
            await source.append(created(endpoint_on(0)), created(endpoint_on(1)))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append)

        async def is_begun() -> bool:
            return bool(await source.server.client.call("EXISTS", source.keys.events(0)))

        await wait_until(is_begun, "one partition has its event")
        own_server.kill()
        place = f'{{"namespace":"moved","url":"{own_server.url}"}}'
        await source.server.client.call("HSET", source.keys.layout, "moved-to", place)
        await wait_until(lambda: bool(errors), "the append ends")
    [error] = errors
    assert isinstance(error, IncompleteAppendError)
    assert isinstance(error.__cause__, ServerUnavailableError)
    assert [one is None for one in error.entry_ids] == [False, True]


async def test_those_that_look_for_the_new_place_at_once_open_it_once(
    source: EventLog, elsewhere: Server, own_server: EmbeddedServer
) -> None:
    await change_over(source, elsewhere, LogPlace("moved", own_server.url))
    found: list[EventLog | None] = []

    async def find() -> None:
        found.append(await source.find_successor())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(find)
    assert len(found) == 5
    assert len(set(map(id, found))) == 1


async def test_no_seal_is_kept_where_another_one_has_expired(
    source: EventLog, namespace: str
) -> None:
    target = await open_target(History(source), source.server, f"{namespace}-b", 3, create=True)
    change = LogChangeOver(source, target, LogPlace(target.keys.namespace))
    async with change.sealed():
        ends = await change.ends()
        await source.server.client.call("DEL", source.keys.seal(1))
        with pytest.raises(NotMovedError, match=r"and then no more; run the move again$"):
            await change.commit(ends)
    await source.append(created(endpoint_on(0)), created(endpoint_on(1)))
