"""Real processes with effects outside Redis: killed, terminated, interrupted."""

import signal
from pathlib import Path
from time import monotonic, perf_counter, process_time

import anyio
import pytest
from anyio.abc import Process

from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.streams.waiting_connections import connection_name
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.group_process import processes
from tests.consumers.support.handling_process import (
    CLAIM_IDLE_MS,
    SETTINGS,
    Effects,
    event,
    process,
    supervised,
)
from tests.support.running_consumer import (
    GROUP,
    dead_letters,
    members,
    pending,
    until_dead,
    until_settled,
)
from tests.support.waiting import wait_until

_SLACK_S = 8.0
"""A busy machine takes this long for what takes it no time."""

_TRIES_MAX = 4
_WORK_S = 0.1


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    return Effects(tmp_path)


async def append(log: EventLog, *names: str) -> list[EntryId]:
    return list((await log.append(*map(event, names))).entry_ids)


async def until_waiting(log: EventLog, name: str) -> None:
    waits_on = connection_name(log.keys, 0, GROUP, name)

    async def waits() -> bool:
        clients = await log.server.client.execute_command("CLIENT LIST")
        return any(c["name"] == waits_on and "b" in c["flags"] for c in clients)

    await wait_until(waits, f"{name} waits for entries")


async def ended_s(running: Process) -> float:
    began_at = monotonic()
    with anyio.fail_after(20):
        await running.wait()
    return monotonic() - began_at


def slowdown() -> float:
    """Return how many times longer work takes than on a machine that has nothing else to do."""
    began_at, began_cpu_at = perf_counter(), process_time()
    while process_time() - began_cpu_at < _WORK_S:
        sum(range(1_000))
    return (perf_counter() - began_at) / (process_time() - began_cpu_at)


async def test_killed_between_effect_and_acknowledgement_the_effect_happens_once_more(
    log: EventLog, effects: Effects
) -> None:
    async with process(log, effects.folder, "victim") as victim:
        await until_waiting(log, "victim")
        [entry_id] = await append(log, "dies after")
        assert await victim.wait() == -signal.SIGKILL
    assert await pending(log) == {entry_id: ("victim", 1)}
    assert effects.happened() == {entry_id: 1}

    async with process(log, effects.folder, "second") as second:
        assert await second.wait() == -signal.SIGKILL
    assert effects.happened() == {entry_id: 2}
    assert await pending(log) == {entry_id: ("second", 2)}


async def test_killed_between_reading_and_the_effect_another_handles_within_the_claim_time(
    log: EventLog, effects: Effects
) -> None:
    async with (
        process(log, effects.folder, "first") as first,
        process(log, effects.folder, "second") as second,
    ):
        await until_waiting(log, "first")
        await until_waiting(log, "second")
        entries = await append(log, *["waits"] * 4)
        await effects.until_begun(entries[0])
        [holder] = {name for name, _ in (await pending(log)).values()}
        {"first": first, "second": second}[holder].kill()
        killed_at = monotonic()
        effects.go_on()
        await effects.until_happened(*entries)
        took_s = monotonic() - killed_at
        await until_settled(log)

    assert took_s < CLAIM_IDLE_MS / 1_000 + _SLACK_S
    assert effects.happened() == dict.fromkeys(entries, 1)
    assert await dead_letters(log) == []


@pytest.mark.parametrize("deadly", ["dies before", "dies after"])
async def test_an_entry_that_kills_its_process_each_time_ends_dead_and_the_others_flow_once(
    log: EventLog, effects: Effects, deadly: str
) -> None:
    entries = await append(log, "good", "good", deadly, "good", "good")
    async with supervised(log, effects.folder, "first", "second"):
        [dead] = await until_dead(log, 1)
        last = await append(log, "good", "good")
        await effects.until_happened(*entries[:2], *entries[3:], *last)
        await until_settled(log)

    tries = SETTINGS.policy.tries_max
    assert dead.original.entry_id == entries[2]
    assert dead.reason == f"delivered {tries} times without an outcome"
    assert len(await dead_letters(log)) == 1
    times = effects.happened()
    assert [times[one] for one in [*entries[3:], *last]] == [1] * 4
    # What stands before it in a batch may have happened before the process died, each time.
    assert {times[one] for one in entries[:2]} <= set(range(1, tries + 1))
    assert times[entries[2]] == (tries if deadly == "dies after" else 0)
    assert effects.begun()[entries[2]] == tries


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_that_waits_is_gone_within_a_second(
    log: EventLog, redis_url: str, number: signal.Signals
) -> None:
    took_s: list[float] = []
    async with processes(log, redis_url) as some:
        # The quickest counts: a machine that has other things to do says nothing of ours.
        while len(took_s) < _TRIES_MAX and min(took_s, default=1.0) >= 1.0:
            slowed = slowdown()
            running = (await some.start(ROUTE_TABLE.name, "first")).process
            running.send_signal(number)
            took_s.append(await ended_s(running) / max(slowed, slowdown()))
            assert running.returncode == 0
            assert await members(log, ROUTE_TABLE.name) == []

    assert min(took_s) < 1.0


async def test_a_busy_process_that_is_terminated_finishes_what_it_has_and_leaves(
    log: EventLog, effects: Effects
) -> None:
    async with process(log, effects.folder, "first") as running:
        await until_waiting(log, "first")
        first = await append(log, "waits", "good")
        await effects.until_begun(first[0])
        running.send_signal(signal.SIGTERM)
        after = await append(log, "good")
        effects.go_on()
        await ended_s(running)

    assert running.returncode == 0
    assert set(effects.happened().values()) == {1}
    assert set(first) <= set(effects.happened()) <= {*first, *after}
    assert await pending(log) == {}
    assert await members(log) == []


async def test_a_second_signal_does_not_wait_and_nothing_is_lost(
    log: EventLog, effects: Effects
) -> None:
    async with process(log, effects.folder, "first") as running:
        await until_waiting(log, "first")
        entries = await append(log, "waits", "good", "good")
        await effects.until_begun(entries[0])
        running.send_signal(signal.SIGINT)
        with pytest.raises(TimeoutError), anyio.fail_after(0.3):
            await running.wait()
        running.send_signal(signal.SIGINT)
        took_s = await ended_s(running)
    assert took_s < _SLACK_S
    assert effects.happened() == {}
    assert set(await pending(log)) == set(entries)

    effects.go_on()
    async with process(log, effects.folder, "second"):
        await effects.until_happened(*entries)
        await until_settled(log)
    assert effects.happened() == dict.fromkeys(entries, 1)
    assert await dead_letters(log) == []
