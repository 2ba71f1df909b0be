"""Stream, group or all data are taken away from handlers: the counts, and how much is said."""

from collections.abc import AsyncIterator

import pytest

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.consumer import ConsumerSettings
from consumers.runtime.group import Group
from consumers.runtime.losses import Losses
from events.log.log import EventLog, open_log
from tests.consumers.support.logged import until_said
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    consumer_of,
    consuming,
    created,
    dead_letters,
    until_settled,
)

PATIENT = ConsumerSettings(block_ms=60_000, claim_idle_ms=600_000, policy=QUICK.policy)

TAKING_AWAY: dict[str, tuple[tuple[str, ...], int]] = {
    "the stream deleted": (("DEL", "{stream}"), 3),
    "the stream renamed": (("RENAME", "{stream}", "{stream}:aside"), 3),
    "all data flushed": (("FLUSHALL",), 3),
    "the group destroyed": (("XGROUP", "DESTROY", "{stream}", GROUP), 0),
}
"""What is done, and how many of the three entries that were handled are gone from the history."""

each = pytest.mark.parametrize(("command", "gone"), TAKING_AWAY.values(), ids=TAKING_AWAY.keys())


@pytest.fixture
async def log(own_server: EmbeddedServer, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(own_server.url, namespace=namespace, source="test") as opened:
        yield opened


async def take_away(log: EventLog, command: tuple[str, ...]) -> None:
    stream = log.keys.events(0)
    await log.server.client.call(*(part.format(stream=stream) for part in command))


@each
@pytest.mark.parametrize("settings", [QUICK, PATIENT], ids=["looks often", "waits long"])
async def test_what_comes_after_is_handled_once_and_what_was_before_not_again(
    log: EventLog, command: tuple[str, ...], gone: int, settings: ConsumerSettings
) -> None:
    handling = Handling()
    losses = Losses(log.server, log.keys, 0, GROUP)
    with captured_lines() as logs:
        async with consuming(consumer_of(log, handling, settings=settings)):
            before = (await log.append(created(), created(), created())).entry_ids
            await handling.until_handled(*before)
            await until_settled(log)
            await Group(log.server, log.keys, 0, GROUP).keep_position()
            await take_away(log, command)
            await until_said(logs, "group_lost", timeout_s=5.0)
            after = (await log.append(created(), created())).entry_ids
            await handling.until_handled(*after)
            await until_settled(log)
            lost = await losses.total()

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)
    assert await dead_letters(log) == []
    assert lost == gone
    errors = [one["event"] for one in logs if one["log_level"] == "error"]
    assert errors.count("group_lost") == 1
    assert errors.count("history_lost") == (gone > 0)
    assert len(errors) == 1 + (gone > 0)
