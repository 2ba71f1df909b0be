"""The layout of a log: written once, the same in all partitions, and never made anew over keys."""

import anyio
import pytest

from events import EventLog, open_log
from events.errors import LayoutError
from events.log.keys import Keys
from events.log.layout import read_identity, read_layout
from events.log.log_to_read import log_to_read
from tests.support.running_consumer import created


@pytest.fixture
def keys(namespace: str) -> Keys:
    return Keys(namespace)


async def test_writers_that_open_a_new_log_at_once_agree_on_one_identity(
    redis_url: str, keys: Keys
) -> None:
    opened: list[str | None] = []

    async def open_one() -> None:
        async with open_log(redis_url, namespace=keys.namespace, partitions=3) as log:
            opened.append(log.layout.identity)
            opened.extend([await read_identity(log.server.client, keys, p) for p in range(3)])

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(open_one)
    assert len(set(opened)) == 1
    assert opened[0] is not None


async def test_two_logs_never_have_the_same_identity(log: EventLog, redis_url: str) -> None:
    first = log.layout.identity
    async with open_log(redis_url, namespace=f"{log.keys.namespace}-other") as other:
        assert first != other.layout.identity


async def test_a_log_of_the_previous_release_gets_an_identity_when_it_is_written_to(
    log: EventLog, redis_url: str
) -> None:
    call, keys = log.server.client.call, log.keys
    await log.append(created())
    await call("DEL", keys.layout, keys.identity(0))
    await call("HSET", keys.layout, "partitions", 1)
    async with log_to_read(redis_url, namespace=keys.namespace) as reading:
        assert reading.layout.identity is None
    async with open_log(redis_url, namespace=keys.namespace) as written:
        identity = written.layout.identity
        assert identity is not None
        assert await read_identity(log.server.client, keys, 0) == identity


async def test_a_writer_that_was_killed_before_all_partitions_had_it_is_made_up_for(
    redis_url: str, keys: Keys
) -> None:
    async with open_log(redis_url, namespace=keys.namespace, partitions=3) as log:
        await log.server.client.call("HDEL", keys.layout, "complete")
        await log.server.client.call("DEL", keys.identity(1), keys.identity(2))
    async with open_log(redis_url, namespace=keys.namespace) as again:
        client = again.server.client
        assert [await read_identity(client, keys, p) for p in range(3)] == [log.layout.identity] * 3
        assert await read_layout(client, keys) == again.layout


async def test_a_log_that_lost_its_layout_is_refused_and_written_again_as_it_was(
    redis_url: str, keys: Keys
) -> None:
    async with open_log(redis_url, namespace=keys.namespace, partitions=4) as log:
        call = log.server.client.call
        await log.append(created())
        await call("DEL", keys.layout)
        for partitions in (None, 4):
            with pytest.raises(LayoutError, match="has lost its layout"):
                async with open_log(redis_url, namespace=keys.namespace, partitions=partitions):
                    pytest.fail("it was opened")
        with pytest.raises(LayoutError, match="routestream doctor"):
            async with log_to_read(redis_url, namespace=keys.namespace):
                pytest.fail("it was opened")
        assert not await call("EXISTS", keys.layout)
        await call("HSET", keys.layout, "partitions", 4)
        async with open_log(redis_url, namespace=keys.namespace) as again:
            assert again.layout == log.layout


@pytest.mark.parametrize("left", ["events", "heads", "positions", "generations", "identity"])
async def test_any_key_that_a_log_leaves_shows_that_it_is_no_new_one(
    log: EventLog, redis_url: str, left: str
) -> None:
    keys, call = Keys(f"{log.keys.namespace}-left"), log.server.client.call
    key = getattr(keys, left)(700)
    await (call("XADD", key, "*", "a", "b") if left == "events" else call("HSET", key, "a", "b"))
    with pytest.raises(LayoutError, match="1 of its keys are there"):
        async with open_log(redis_url, namespace=keys.namespace):
            pytest.fail("it was opened")


async def test_an_identity_that_is_none_is_named(log: EventLog, redis_url: str) -> None:
    await log.server.client.call("HSET", log.keys.layout, "identity", b"\xff no")
    with pytest.raises(LayoutError, match=r"field identity of .* is '\\\\xff no', not 8 to 64"):
        async with open_log(redis_url, namespace=log.keys.namespace):
            pytest.fail("it was opened")
