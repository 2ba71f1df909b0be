"""Members of a group share its partitions: each is served, and what stays is not disturbed."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from consumers import open_group
from consumers.group_definition import projector_group
from consumers.handlers.handler_settings import HandlerSettings
from consumers.membership.group_membership import sharing
from consumers.processes.embedded import EmbeddedServer
from consumers.processes.group_process import stop_all
from consumers.processes.registry import give_sign, own_facts, sign_off
from consumers.settings import Settings
from events import EventLog, open_log
from events.entry.recorded import RecordedEvent
from events.errors import NoGroupError
from events.log.keys import partition_of
from events.server.reply import reply
from events.streams.stream_group import read_consumers
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import created
from tests.support.waiting import wait_until

PARTITIONS = 4
AUDIT = "audit"
MODEL = ROUTE_TABLE.read_model
SETTINGS = HandlerSettings(block_ms=200, lease_ms=60_000)
_DEADLINE_S = 60.0


@pytest.fixture
async def wide_log(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, partitions=PARTITIONS) as opened:
        yield opened


def endpoint_on(partition: int) -> UUID:
    return next(one for one in iter(uuid4, None) if partition_of(one, PARTITIONS) == partition)


@asynccontextmanager
async def projecting(log: EventLog, name: str) -> AsyncIterator[None]:
    """Run a projector that shares, and stop it softly at the end."""
    settings, facts = Settings(), own_facts(wanted=None, metrics=None)
    async with (
        projector_group(ROUTE_TABLE).members(log, name, settings) as consumers,
        sharing(log, (MODEL, name), facts, consumers) as membership,
        anyio.create_task_group() as tasks,
    ):
        for consumer in consumers:
            tasks.start_soon(consumer.run)
        yield
        await stop_all(consumers, membership)


async def readers(log: EventLog, group: str) -> list[list[str]]:
    """Return the consumers of each partition; none before the group is there."""
    call = log.server.client.call
    found: list[list[str]] = []
    with suppress(NoGroupError):
        for place in range(log.partitions):
            consumers = await read_consumers(call, log.keys.events(place), group)
            found.append(sorted(one.name for one in consumers))
    return found


async def test_projectors_share_the_partitions_and_one_that_leaves_passes_its_own_on(
    wide_log: EventLog,
) -> None:
    async def has_all(*names: str) -> bool:
        return await readers(wide_log, MODEL) == [list(names)] * PARTITIONS

    async def are_shared() -> bool:
        found = await readers(wide_log, MODEL)
        return sorted(found) == [["one"], ["one"], ["two"], ["two"]]

    async with projecting(wide_log, "one"):
        await wait_until(lambda: has_all("one"), "one alone has all", _DEADLINE_S)
        async with projecting(wide_log, "two"):
            await wait_until(are_shared, "each has two", _DEADLINE_S)
            for place in range(PARTITIONS):
                await wide_log.append(created(endpoint_on(place)))
            await wait_until(lambda: _are_folded(wide_log), "all are folded", _DEADLINE_S)
        await wait_until(lambda: has_all("one"), "one has all again", _DEADLINE_S)


async def _are_folded(log: EventLog) -> bool:
    for place in range(log.partitions):
        live = await log.server.client.call("GET", log.keys.live(place, MODEL))
        if not isinstance(live, bytes):
            return False
        key = log.keys.documents(place, MODEL, int(live))
        if await log.server.client.call("HLEN", key) != 1:
            return False
    return True


async def test_projectors_to_spare_read_beside_the_owner(log: EventLog) -> None:
    async def both_read() -> bool:
        return await readers(log, MODEL) == [["one", "two"]]

    async with projecting(log, "one"), projecting(log, "two"):
        await wait_until(both_read, "both read the one partition", _DEADLINE_S)


async def test_what_stays_is_not_disturbed_and_what_hangs_holds_nobody_up(
    wide_log: EventLog,
) -> None:
    """A try that hangs in each partition: it goes on where its partition stays."""
    hanging = [endpoint_on(place) for place in range(PARTITIONS)]
    flowing = [endpoint_on(place) for place in range(PARTITIONS)]
    begun: Counter[UUID] = Counter()
    handled_by: dict[str, Counter[UUID]] = {"one": Counter(), "two": Counter()}
    go_on = anyio.Event()

    @asynccontextmanager
    async def member(name: str) -> AsyncIterator[None]:
        async def handle(recorded: RecordedEvent) -> None:
            begun[recorded.endpoint_id] += 1
            if recorded.endpoint_id in hanging:
                await go_on.wait()
            handled_by[name][recorded.endpoint_id] += 1

        async with open_group(wide_log, AUDIT, handle, settings=SETTINGS):
            yield

    async with member("one"):
        await wide_log.append(*map(created, hanging))
        await wait_until(lambda: set(begun) == set(hanging), "all hang", _DEADLINE_S)
        async with member("two"):
            await wait_until(
                lambda: sorted(begun.values()) == [1, 1, 2, 2], "half has moved", _DEADLINE_S
            )
            await wide_log.append(*map(created, flowing))
            await wait_until(
                lambda: (handled_by["one"] + handled_by["two"]).keys() == set(flowing),
                "the others are handled",
                _DEADLINE_S,
            )
            moved = {partition_of(one, PARTITIONS) for one in hanging if begun[one] == 2}
            by_two = {partition_of(one, PARTITIONS) for one in handled_by["two"]}
            assert by_two == moved
            # No try was cut short where nothing moved: those partitions never paused.
            assert sorted(begun[one] for one in hanging) == [1, 1, 2, 2]
            go_on.set()
    assert sum(map(Counter.total, handled_by.values())) == 2 * PARTITIONS


async def test_a_process_that_cannot_be_noted_takes_everything(wide_log: EventLog) -> None:
    await wide_log.server.client.call("SET", wide_log.keys.processes, "another program's")
    handled: list[UUID] = []

    async def handle(recorded: RecordedEvent) -> None:
        handled.append(recorded.endpoint_id)

    endpoints = [endpoint_on(place) for place in range(PARTITIONS)]
    async with open_group(wide_log, AUDIT, handle, settings=SETTINGS):
        await wide_log.append(*map(created, endpoints))
        await wait_until(lambda: set(handled) == set(endpoints), "all are handled", _DEADLINE_S)


async def test_a_process_that_could_not_be_noted_at_first_takes_everything_once_it_is_refused(
    own_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(own_server.url, namespace=namespace, partitions=PARTITIONS) as log:
        await log.server.client.call("SET", log.keys.processes, "another program's")
        own_server.kill()

        async def has_all() -> bool:
            return await readers(log, MODEL) == [["one"]] * PARTITIONS

        with captured_lines() as logs:
            async with projecting(log, "one"):
                await wait_until(
                    lambda: any(one["event"] == "process_not_registered" for one in logs),
                    "it cannot be noted",
                    _DEADLINE_S,
                )
                own_server.start()
                await wait_until(has_all, "it has all", _DEADLINE_S)


async def test_a_process_that_was_silent_for_a_while_has_its_share_again(
    wide_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.membership.group_membership._SIGN_EVERY_MS", 100)
    facts = own_facts(wanted=None, metrics=None)

    async def has(count: int) -> bool:
        return (await readers(wide_log, MODEL)).count(["one"]) == count

    async with projecting(wide_log, "one"):
        key = wide_log.keys.processes_changed
        with captured_lines() as logs:
            async with wide_log.server.blocking(key, 1_000) as client:
                gone = replace(facts, connection=2**40)
                await give_sign(wide_log, MODEL, "two", gone)
                await wait_until(
                    lambda: any(one["event"] == "process_gone" for one in logs),
                    "it is seen",
                    _DEADLINE_S,
                )
                await wait_until(lambda: has(PARTITIONS), "one has all", _DEADLINE_S)
                connection = reply(await client.call("CLIENT ID"), int)

                async def is_shared() -> bool:
                    await client.call("PING")
                    await give_sign(wide_log, MODEL, "two", replace(facts, connection=connection))
                    return await has(PARTITIONS // 2)

                await wait_until(is_shared, "two has its half again", _DEADLINE_S)
                await sign_off(wide_log, "two")
