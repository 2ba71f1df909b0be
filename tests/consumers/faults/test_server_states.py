"""The server says no for a while, in each way there is; then all is handled exactly once."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.consumer import ConsumerSettings
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from events.errors import ServerUnavailableError, UncertainAppendError
from events.log.log import EventLog, open_log
from events.log.positions import Positions, group_holder
from events.server.settings import ServerSettings
from tests.consumers.support.logged import until_said
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    append,
    consumer_of,
    consuming,
    dead_letters,
    pending,
    until_settled,
)
from tests.support.servers import (
    Breaking,
    away,
    demoted,
    loading,
    standing_still,
    unable_to_save,
    without_its_master,
    without_memory,
    without_replicas,
)
from tests.support.waiting import wait_until

REFUSING: list[tuple[Breaking, str]] = [
    (demoted, "read only replica"),
    (without_its_master, "Link with MASTER"),
    (without_replicas, "NOREPLICAS"),
    (without_memory, "used memory"),
    (unable_to_save, "MISCONF"),
]
"""What breaks the server, and the word by which it tells so."""

BREAKING: list[tuple[Breaking, str]] = [
    *REFUSING,
    (loading, "loading"),
    (standing_still, "imeout"),
    (away, "refused"),
]


def name_of(one: Any) -> str:  # noqa: ANN401 - a parameter
    return getattr(one, "__name__", str(one))


@pytest.fixture
async def own_log(own_server: EmbeddedServer, namespace: str) -> AsyncIterator[EventLog]:
    settings = ServerSettings(url=own_server.url, timeout_s=0.5)
    async with open_log(settings, namespace=namespace, source="test") as opened:
        yield opened


async def entries(log: EventLog) -> list[EntryId]:
    return [one.entry_id async for one in log.read()]


@pytest.mark.parametrize(
    ("breaking", "word"), [one for one in BREAKING if one[0] is not without_memory], ids=name_of
)
async def test_a_waiting_consumer_waits_on_and_then_handles_each_entry_once(
    own_server: EmbeddedServer, own_log: EventLog, breaking: Breaking, word: str
) -> None:
    handling = Handling()
    with captured_lines() as logs:
        async with consuming(consumer_of(own_log, handling)):
            before = await append(own_log, 5)
            await until_settled(own_log)
            async with breaking(own_server):
                await until_said(logs, "server_unavailable", word)
            after = await append(own_log, 5)
            await handling.until_handled(*after)
            await until_settled(own_log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)
    assert await entries(own_log) == [*before, *after]
    assert await dead_letters(own_log) == []


async def test_without_memory_what_was_done_is_ended_and_its_position_is_kept(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    handling, go_on = Handling(), anyio.Event()

    async def hang(_: RecordedEvent) -> None:
        await go_on.wait()

    handling.before = hang
    with captured_lines():
        async with consuming(consumer_of(own_log, handling)):
            before = await append(own_log, 5)
            await wait_until(lambda: handling.calls.total() > 0, "it has begun")
            async with without_memory(own_server):
                go_on.set()

                async def is_ended() -> bool:
                    return await pending(own_log) == {}

                await wait_until(is_ended, "what was done is ended")
                kept = await Positions(own_log.server, own_log.keys, 0).of(group_holder(GROUP))
                assert kept == before[-1]
            after = await append(own_log, 5)
            await handling.until_handled(*after)
            await until_settled(own_log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)
    assert await dead_letters(own_log) == []


@pytest.mark.parametrize(
    ("breaking", "times"),
    [
        *((breaking, 2) for breaking, _ in REFUSING if breaking is not without_memory),
        *((loading, 2), (away, 2)),
        (without_memory, 1),  # an acknowledgement needs none
        (standing_still, 2),  # the acknowledgement may be carried out when the server goes on
    ],
    ids=name_of,
)
async def test_what_cannot_be_acknowledged_is_handled_once_more_and_no_more(
    own_server: EmbeddedServer, own_log: EventLog, breaking: Breaking, times: int
) -> None:
    """The server breaks between the effect and its acknowledgement."""
    handling = Handling()
    batch: list[EntryId] = []
    broken = breaking(own_server)
    appended = anyio.Event()

    async def break_at_the_last(_: RecordedEvent) -> None:
        if handling.calls.total() == len(first) + 3:
            await appended.wait()  # its answer comes from a server that still answers
            await broken.__aenter__()

    first = await append(own_log, 1)
    handling.before = break_at_the_last
    with captured_lines() as logs:
        async with consuming(consumer_of(own_log, handling)):
            await handling.until_handled(*first)  # the server has the scripts from now on
            await until_settled(own_log)
            batch += await append(own_log, 3)
            appended.set()
            if breaking is without_memory:
                await until_settled(own_log)
            else:
                await until_said(logs, "server_unavailable")
            await broken.__aexit__(None, None, None)
            await handling.until_handled(*batch)
            await until_settled(own_log)

    if breaking is standing_still and handling.calls[batch[0]] == 1:
        times = 1
    assert dict(handling.calls) == dict.fromkeys(first, 1) | dict.fromkeys(batch, times)
    assert await entries(own_log) == [*first, *batch]
    assert await dead_letters(own_log) == []


@pytest.mark.parametrize(("breaking", "word"), REFUSING, ids=name_of)
async def test_an_append_that_is_refused_every_time_certainly_appended_nothing(
    own_server: EmbeddedServer, own_log: EventLog, breaking: Breaking, word: str
) -> None:
    async with breaking(own_server):
        with pytest.raises(ServerUnavailableError, match=word):
            await append(own_log, 2)
    landed = await append(own_log, 1)

    assert await entries(own_log) == landed


async def test_an_append_while_the_server_is_loading_waits_and_lands_once(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    async with loading(own_server):
        landed = await append(own_log, 2)

    assert await entries(own_log) == landed


async def test_an_append_into_a_black_hole_is_uncertain_and_lands_once_at_most(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    async with standing_still(own_server):
        with pytest.raises(UncertainAppendError):
            await append(own_log, 2)
    landed = await append(own_log, 1)

    assert len(await entries(own_log)) in {1, 3}
    assert (await entries(own_log))[-1:] == landed


async def test_demoted_while_a_consumer_waits_long_it_is_told_at_once(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    handling = Handling()
    patient = ConsumerSettings(block_ms=60_000, claim_idle_ms=600_000, policy=QUICK.policy)
    with captured_lines() as logs:
        async with consuming(consumer_of(own_log, handling, settings=patient)):
            before = await append(own_log, 2)
            await until_settled(own_log)
            async with demoted(own_server):
                await until_said(logs, "server_unavailable", "UNBLOCKED", timeout_s=5.0)
                await until_said(logs, "server_unavailable", "read only replica")
            after = await append(own_log, 2)
            await handling.until_handled(*after)
            await until_settled(own_log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)
    assert [one["event"] for one in logs if one["log_level"] == "error"] == []
