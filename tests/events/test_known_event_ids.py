"""For how long the log knows an event id: as long as it keeps the entry, whatever clocks say."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from events import EventLog, open_log
from events.retention.retention import RetentionRule
from events.retention.trim import FORGET_IDS, Trim
from events.server.reply import reply
from tests.events.support.any_log import lengths, ratio
from tests.support.clock import Clock, server_with


async def test_an_entry_that_the_log_no_longer_has_is_appended_anew(log: EventLog) -> None:
    event, event_id = ratio(uuid4()), uuid4()
    [first] = (await log.append(event, event_ids=[event_id])).entry_ids
    await log.server.client.call("XDEL", log.keys.events(0), str(first))
    [second] = (await log.append(event, event_ids=[event_id])).entry_ids
    assert second > first
    assert (await log.append(event, event_ids=[event_id])).entry_ids == (second,)


async def test_a_clock_that_jumps_ahead_before_a_retry_doubles_nothing(
    tmp_path: Path, namespace: str
) -> None:
    clock = Clock(tmp_path / "clock")
    with server_with(clock) as server:
        async with open_log(server.url, namespace=namespace) as log:
            event, event_id = ratio(uuid4()), uuid4()
            appended = await log.append(event, event_ids=[event_id])
            for by in (timedelta(seconds=61), timedelta(days=400), timedelta(hours=-1)):
                clock.set_forward(by)
                assert await log.append(event, event_ids=[event_id]) == appended
            assert await lengths(log) == [1]


async def test_the_ids_of_entries_that_were_cut_are_forgotten(log: EventLog) -> None:
    async def known() -> int:
        return reply(await log.server.client.call("HLEN", log.keys.event_ids(0)), int) - 1

    event, event_id = ratio(uuid4()), uuid4()
    for _ in range(2):
        await log.append(*[event] * FORGET_IDS)
    kept = await log.append(event, event_ids=[event_id])
    rule, now_ms = RetentionRule(), kept.entry_ids[0].ms
    [_ async for _ in Trim(log, 0, rule).steps(now_ms)]
    assert await known() == 2 * FORGET_IDS + 1
    # Cut by another program.
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", 10)
    [_ async for _ in Trim(log, 0, rule).steps(now_ms)]
    assert await known() == 10
    assert await log.append(event, event_ids=[event_id]) == kept
