"""A group of one's own inside one's own program."""

import subprocess
import sys
from contextlib import AsyncExitStack
from urllib.request import urlopen
from uuid import uuid4

import anyio
import anyio.to_thread
import pytest

from consumers import (
    HandlerSettings,
    MetricsSettings,
    RetryPolicy,
    TakenNameError,
    UnprocessableError,
    open_group,
)
from consumers.shipped import SHIPPED
from events import END, START, EndpointDestroyedEvent, EventLog, open_log
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import created, dead_letters, until_dead, until_settled
from tests.support.waiting import wait_until

AUDIT = "audit"
PROMPT = HandlerSettings(
    policy=RetryPolicy(tries_max=3, first_s=0.01, most_s=0.02), lease_ms=600, block_ms=100
)


class Trail:
    """Keeps what it was given; fails the first *failures* times."""

    def __init__(self, failures: int = 0) -> None:
        self.entry_ids: list[EntryId] = []
        self._failures = failures

    async def __call__(self, recorded: RecordedEvent) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError("the disk is away")
        self.entry_ids.append(recorded.entry_id)

    async def until(self, count: int) -> None:
        await wait_until(lambda: len(self.entry_ids) >= count, f"{count} events are handled")


async def append(log: EventLog, count: int = 1) -> list[EntryId]:
    return [(await log.append(created())).entry_ids[0] for _ in range(count)]


async def test_a_new_group_misses_nothing_from_the_first_moment_of_the_block(
    log: EventLog,
) -> None:
    await append(log, 2)
    trail = Trail()
    async with open_group(log, AUDIT, trail, start=END, settings=PROMPT):
        new = await append(log, 3)
        await trail.until(3)
    assert sorted(trail.entry_ids) == new


async def test_a_new_group_begins_where_it_is_told(log: EventLog) -> None:
    first, *later = await append(log, 3)
    everything, after = Trail(), Trail()
    async with (
        open_group(log, "from-the-start", everything, start=START, settings=PROMPT),
        open_group(log, "after-the-first", after, start=first, settings=PROMPT),
    ):
        await everything.until(3)
        await after.until(2)
    assert sorted(everything.entry_ids) == [first, *later]
    assert sorted(after.entry_ids) == later


async def test_a_group_that_existed_goes_on_where_it_was(log: EventLog) -> None:
    before, after = Trail(), Trail()
    async with open_group(log, AUDIT, before, start=START, settings=PROMPT):
        await append(log)
        await before.until(1)
        await until_settled(log, AUDIT)
    meanwhile = await append(log)
    async with open_group(log, AUDIT, after, start=END, settings=PROMPT):
        await after.until(1)
    assert after.entry_ids == meanwhile


async def test_two_programs_share_a_group_of_all_partitions(redis_url: str, namespace: str) -> None:
    one, other = Trail(), Trail()
    async with AsyncExitStack() as opened:
        log = await opened.enter_async_context(
            open_log(redis_url, namespace=namespace, partitions=3)
        )
        for trail in (one, other):
            group = open_group(log, AUDIT, trail, start=START, settings=PROMPT)
            await opened.enter_async_context(group)
        appended = [(await log.append(created(uuid4()))).entry_ids[0] for _ in range(12)]
        await wait_until(lambda: len(one.entry_ids + other.entry_ids) >= 12, "all are handled")
    assert sorted(one.entry_ids + other.entry_ids) == sorted(appended)


async def test_a_failure_is_tried_again_and_a_hopeless_event_is_a_dead_letter(
    log: EventLog,
) -> None:
    trail = Trail(failures=2)

    async def refuse(_: RecordedEvent) -> None:
        raise UnprocessableError("no such author", "no-author")

    async with (
        open_group(log, AUDIT, trail, settings=PROMPT),
        open_group(log, "refusing", refuse, settings=PROMPT),
    ):
        [appended] = await append(log)
        await trail.until(1)
        await until_dead(log, 1, "refusing")
    assert trail.entry_ids == [appended]
    assert await dead_letters(log, AUDIT) == []


async def test_only_the_wanted_types_are_given_to_the_handler(log: EventLog) -> None:
    trail = Trail()
    wanted = [EndpointDestroyedEvent]
    async with open_group(log, AUDIT, trail, wanted=wanted, settings=PROMPT):
        endpoint_id = uuid4()
        await log.append(created(endpoint_id))
        destroyed = await log.append(EndpointDestroyedEvent(endpoint_id=endpoint_id))
        await trail.until(1)
        await until_settled(log, AUDIT)
    assert trail.entry_ids == list(destroyed.entry_ids)


async def test_leaving_the_block_lets_a_try_end_and_begins_no_other(log: EventLog) -> None:
    begun, may_end, ended = anyio.Event(), anyio.Event(), []

    async def handle(recorded: RecordedEvent) -> None:
        begun.set()
        await may_end.wait()
        ended.append(recorded.entry_id)

    one_at_a_time = HandlerSettings(concurrency=1, block_ms=100)
    async with (
        anyio.create_task_group() as tasks,
        open_group(log, AUDIT, handle, settings=one_at_a_time),
    ):
        first, second = await append(log, 2)
        await begun.wait()
        tasks.start_soon(_end_later, may_end)
    assert ended == [first]
    rest = Trail()
    async with open_group(log, AUDIT, rest, settings=PROMPT):
        await rest.until(1)
    assert rest.entry_ids == [second]


async def _end_later(may_end: anyio.Event) -> None:
    await anyio.wait_all_tasks_blocked()
    may_end.set()


async def test_the_callers_error_ends_the_group_and_reaches_the_caller(log: EventLog) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with open_group(log, AUDIT, Trail(), settings=PROMPT):
            raise ValueError("mine")
    trail = Trail()
    async with open_group(log, AUDIT, trail, settings=PROMPT):
        await append(log)
        await trail.until(1)  # the partition was handed over, not left to the lease's end


async def test_its_metrics_and_health_are_returned_and_served_where_asked(log: EventLog) -> None:
    trail = Trail()
    metrics = MetricsSettings(port=0)
    with captured_lines() as lines:
        async with open_group(log, AUDIT, trail, settings=PROMPT, metrics=metrics) as group:
            await append(log, 2)
            await trail.until(2)
            await until_settled(log, AUDIT)
            assert (await group.liveness()).ok
            assert (await group.readiness()).ok
            families = list(await group.metrics())
            [url] = [line["url"] for line in lines if line["event"] == "metrics_served"]
            served = await anyio.to_thread.run_sync(lambda: urlopen(url, timeout=20).read())  # noqa: S310 - our own
    handled = "routestream_entries_handled_total"
    samples = [one for family in families for one in family.samples if one.name == handled]
    assert [one.value for one in samples] == [2]
    assert f'{handled}{{group="audit"'.encode() in served


@pytest.mark.parametrize("name", [*(group.name for group in SHIPPED), "retention"])
async def test_the_name_of_a_shipped_group_is_refused(log: EventLog, name: str) -> None:
    with pytest.raises(TakenNameError, match=f"{name!r} is one of routestream's own"):
        async with open_group(log, name, Trail()):
            pass
    assert await log.server.client.call("EXISTS", log.keys.events(0)) == 0


STRANGER = """
import sys, anyio
from consumers import open_group
from events import open_log

async def handle(recorded): pass

async def main():
    async with open_log(sys.argv[1], namespace=sys.argv[2]) as log:
        async with open_group(log, "audit", handle):
            pass

anyio.run(main)
"""


async def test_it_prints_nothing_in_a_program_that_asked_for_no_logs(
    redis_url: str, namespace: str
) -> None:
    command = [sys.executable, "-c", STRANGER, redis_url, namespace]
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
