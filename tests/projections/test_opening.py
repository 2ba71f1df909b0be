"""A log, its history and the reader of its route table are opened alike."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from events import END, EventLog, open_log
from events.errors import LayoutError, TrimmedError
from events.history.history import History, open_history
from events.log.keys import Keys
from events.server.server import open_server
from events.server.settings import ServerSettings
from projections.read_model.reader import RouteTableReader, open_reader
from projections.route_table.route_table import ROUTE_TABLE
from tests.events.support.any_log import ratio
from tests.events.support.archives import archive_in, run, trim
from tests.support.histories import E, created
from tests.support.projectors import POLITE, member
from tests.support.running_consumer import consuming, until_settled

Open = Callable[..., AbstractAsyncContextManager[History | RouteTableReader]]
OPEN_TO_READ: tuple[Open, ...] = (open_history, open_reader)


@pytest.fixture
async def three(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, partitions=3) as opened:
        yield opened


def test_they_have_the_same_arguments_in_the_same_order_with_the_same_defaults() -> None:
    def options(function: Callable[..., Any]) -> list[tuple[str, object]]:
        found = inspect.signature(function).parameters.values()
        return [(one.name, one.default) for one in found if one.kind is one.KEYWORD_ONLY]

    shared = [("namespace", "routestream"), ("partitions", None)]
    for function in (open_log, open_history, open_reader):
        assert options(function)[:2] == shared


async def test_a_history_is_opened_by_url_with_its_archive(
    log: EventLog, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    appended = await log.append(*(ratio(uuid4()) for _ in range(12)))
    await run(log, archive_in(tmp_path, log), END)
    await trim(log, str(appended.entry_ids[5]))
    for server in (redis_url, ServerSettings(url=redis_url)):
        async with open_history(server, str(tmp_path), namespace=namespace) as history:
            assert [one.entry_id async for one in history.read()] == list(appended.entry_ids)
    async with open_history(redis_url, namespace=namespace) as history:
        with pytest.raises(TrimmedError, match="5 entries"):
            [_ async for _ in history.read()]


async def test_a_reader_is_opened_by_url(log: EventLog, redis_url: str) -> None:
    await log.append(created())
    async with consuming(member(log, ROUTE_TABLE, "projector", POLITE)):
        await until_settled(log, ROUTE_TABLE.name)
    async with open_reader(redis_url, namespace=log.keys.namespace) as reader:
        endpoint = reader.endpoint(E)
        assert endpoint is not None
        assert endpoint.name == created().name


@pytest.mark.parametrize("open_to_read", OPEN_TO_READ)
async def test_opening_to_read_what_is_not_there_says_so_and_writes_nothing(
    redis_url: str, namespace: str, open_to_read: Open
) -> None:
    with pytest.raises(LayoutError, match=f"there is no log '{namespace}' at"):
        async with open_to_read(redis_url, namespace=namespace):
            pytest.fail("it was opened")
    async with open_server(ServerSettings(url=redis_url)) as server:
        assert await server.client.call("EXISTS", Keys(namespace).layout) == 0


async def test_a_history_of_a_log_to_come_is_read_where_its_partitions_are_given(
    redis_url: str, namespace: str
) -> None:
    async with open_history(redis_url, namespace=namespace, partitions=3) as history:
        assert [one async for one in history.read()] == []
        async with open_log(redis_url, namespace=namespace, partitions=3) as log:
            appended = await log.append(ratio(uuid4()))
        assert [one.entry_id async for one in history.read()] == list(appended.entry_ids)


@pytest.mark.parametrize("open_to_read", OPEN_TO_READ)
async def test_an_open_log_is_not_taken_for_another(three: EventLog, open_to_read: Open) -> None:
    with pytest.raises(LayoutError, match=f"namespace: the open log is '{three.keys.namespace}'"):
        async with open_to_read(three, namespace="other"):
            pytest.fail("it was opened")
    with pytest.raises(LayoutError, match="partitions: the open log has 3, not 2"):
        async with open_to_read(three, partitions=2):
            pytest.fail("it was opened")


@pytest.mark.parametrize("open_to_read", OPEN_TO_READ)
async def test_another_number_of_partitions_is_refused(
    three: EventLog, redis_url: str, open_to_read: Open
) -> None:
    with pytest.raises(LayoutError, match="was made with 3, it cannot be opened with 2"):
        async with open_to_read(redis_url, namespace=three.keys.namespace, partitions=2):
            pytest.fail("it was opened")


async def test_an_open_log_stays_open(three: EventLog) -> None:
    async with open_history(three) as history:
        assert history.log is three
    assert len((await three.append(ratio(uuid4()))).entry_ids) == 1


async def test_an_error_of_the_readers_block_reaches_the_caller_as_it_is(log: EventLog) -> None:
    async with consuming(member(log, ROUTE_TABLE)):
        with pytest.raises(ValueError, match="mine"):
            async with open_reader(log):
                raise ValueError("mine")
