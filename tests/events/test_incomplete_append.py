"""An append over several partitions that stops half way: what landed is told, the rest follows."""

import pytest

from events import START, EventLog, open_log
from events.errors import (
    IncompleteAppendError,
    NotDurableError,
    UncertainAppendError,
    WrongTypeError,
)
from events.log.append import TRIES_MAX
from events.log.batch import Durability
from events.server.settings import ServerSettings
from events.testing import MemoryLog
from tests.events.support.any_log import endpoint_in, lengths, ratio
from tests.support.tcp_proxy import TcpProxy

EVENTS = [ratio(endpoint_in(partition, 4)) for partition in (3, 0, 3, 1)]
"""The append is of partition 3, then of 0, then of 1."""


async def test_what_is_refused_after_a_part_has_landed_is_told_and_completed(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=4) as log:
        await log.server.client.call("SET", log.keys.heads(0), "stray")
        with pytest.raises(IncompleteAppendError) as stopped:
            await log.append(*EVENTS)
        first, second, third, fourth = stopped.value.entry_ids
        assert None not in {first, third}
        assert (second, fourth) == (None, None)
        assert isinstance(stopped.value.__cause__, WrongTypeError)
        told = str(stopped.value)
        assert told.startswith("2 of 4 events are known to be in the log, then: one of ")
        assert "with the event ids of this error" in told
        assert await lengths(log) == [0, 0, 0, 2]

        await log.server.client.call("DEL", log.keys.heads(0))
        completed = await log.append(*EVENTS, event_ids=stopped.value.event_ids)
        assert completed.entry_ids[::2] == (first, third)
        assert await lengths(log) == [1, 1, 0, 2]


async def test_what_is_refused_before_anything_has_landed_is_no_incomplete_append(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=4) as log:
        await log.server.client.call("SET", log.keys.heads(3), "stray")
        with pytest.raises(WrongTypeError):
            await log.append(*EVENTS)
        assert await lengths(log) == [0, 0, 0, 0]


async def test_what_no_reply_came_to_is_completed_by_another_process(
    proxy: TcpProxy, redis_url: str, namespace: str
) -> None:
    settings = ServerSettings(url=proxy.url, timeout_s=0.4)
    async with (
        open_log(redis_url, namespace=namespace, partitions=4) as log,
        open_log(settings, namespace=namespace) as far_log,
    ):
        for _ in range(TRIES_MAX):
            proxy.lose_next_reply_to(b"EVALSHA")
        with pytest.raises(IncompleteAppendError, match=r"^0 of 4 events") as stopped:
            await far_log.append(*EVENTS)
        assert isinstance(stopped.value.__cause__, UncertainAppendError)
        assert stopped.value.entry_ids == (None,) * 4
        landed = [one.entry_id async for one in log.read()]
        assert len(landed) == 2
        completed = await log.append(*EVENTS, event_ids=stopped.value.event_ids)
        assert list(completed.entry_ids[::2]) == landed
        assert await lengths(log) == [1, 1, 0, 2]


async def test_a_replica_that_is_missing_stops_an_append_over_several_partitions() -> None:
    log = MemoryLog(partitions=4)
    with pytest.raises(IncompleteAppendError, match=r"^2 of 4 events") as stopped:
        await log.append(*EVENTS, durability=Durability(replicas=1))
    assert isinstance(stopped.value.__cause__, NotDurableError)
    assert await lengths(log) == [0, 0, 0, 2]
    await log.append(*EVENTS, event_ids=stopped.value.event_ids)
    assert await lengths(log) == [1, 1, 0, 2]


async def test_an_append_that_was_not_durable_is_the_same_one_when_it_is_repeated(
    log: EventLog,
) -> None:
    event = ratio(endpoint_in(0, 1))
    two = Durability(replicas=2, timeout_ms=50)
    with pytest.raises(NotDurableError) as weak:
        await log.append(event, durability=two, expected=START)
    again = await log.append(event, event_ids=weak.value.event_ids, expected=START)
    assert again.entry_ids == weak.value.entry_ids
    assert await lengths(log) == [1]
