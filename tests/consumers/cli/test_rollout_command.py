"""The command `endpoints rollout`, as a person or a script runs it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from uuid import UUID

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from click.testing import Result

from consumers.cli.rollout.rollout import rollout
from consumers.processes.embedded import EmbeddedServer, free_port
from consumers.processes.supervisor import routestream_command
from events import EndpointCreatedEvent, EndpointRouteListUpdatedEvent, EventLog, RouteRecord
from events.catalogue.route import RouteFailedEvent
from events.catalogue.traffic_split import Rollout
from producers.endpoints.endpoint_service import EndpointService
from producers.errors import NoRolloutError, UnknownRevisionError
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.support.projectors import member
from tests.support.running_consumer import consuming
from tests.support.waiting import wait_until

START_S = 60.0
"""A busy machine takes long to start a program."""

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
OLD, OTHER, NEW = (UUID(f"{n:08x}-0000-4000-8000-000000000000") for n in range(1, 4))


def route(route_id: UUID, revision: str, ratio: float = 1.0) -> RouteRecord:
    return RouteRecord(
        route_id=route_id,
        kernel_host="10.0.0.1",
        kernel_port=8_000,
        status="running",
        traffic_ratio=ratio,
        labels={"revision": revision},
    )


@pytest.fixture
async def chat(log: EventLog) -> EventLog:
    await record_chat(log)
    return log


async def record_chat(log: EventLog) -> None:
    """Record an endpoint with three parts of v1 and one of v0, and a route of v2."""
    await log.append(
        EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m"),
        EndpointRouteListUpdatedEvent(
            endpoint_id=CHAT,
            routes=(route(OLD, "v1", 3.0), route(OTHER, "v0"), route(NEW, "v2")),
        ),
    )


async def state_of(log: EventLog) -> Endpoint:
    return await EndpointService(log).read(CHAT)


async def done(run: Commands, *arguments: str) -> Result:
    result = await run(rollout, str(CHAT), *arguments, "--yes")
    assert result.exit_code == 0, (result.output, result.exception)
    return result


async def test_a_canary_is_one_event_and_its_plan_is_told(chat: EventLog, run: Commands) -> None:
    result = await done(run, "--to", "v2", "--percent", "5", "--reason", "canary")
    assert result.stderr.startswith(
        "traffic split: not split -> v0 23.75%, v1 71.25%, v2 5%: canary\nappended "
    )
    state = await state_of(chat)
    assert state.split == {"v0": 23.75, "v1": 71.25, "v2": 5.0}
    assert (state.split_reason, await length(chat)) == ("canary", 3)


async def test_half_then_all_then_back_then_no_split(chat: EventLog, run: Commands) -> None:
    for percent, split in (("50", {"v0": 12.5, "v1": 37.5, "v2": 50.0}), ("100", {"v2": 100.0})):
        await done(run, "--to", "v2", "--percent", percent)
        assert (await state_of(chat)).split == split
    await done(run, "--back", "--reason", "too slow")
    state = await state_of(chat)
    assert (state.split, state.split_reason) == ({"v0": 25.0, "v1": 75.0}, "too slow")
    await done(run, "--off")
    assert (await state_of(chat)).split == {}


async def test_what_is_refused_is_said_in_one_sentence_and_writes_nothing(
    chat: EventLog, run: Commands
) -> None:
    unknown = await run(rollout, str(CHAT), "--to", "v3", "--percent", "5", "--yes")
    assert isinstance(unknown.exception, UnknownRevisionError)
    assert end_of(unknown) == 3
    nothing = await run(rollout, str(CHAT), "--back", "--yes")
    assert isinstance(nothing.exception, NoRolloutError)
    assert end_of(nothing) == 1
    unasked = await run(rollout, str(CHAT), "--to", "v2", "--percent", "5")
    assert end_of(unasked) == 2
    assert await length(chat) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--to v2",
        "--percent 5",
        "--to v2 --percent 5 --steps 5,50",
        "--to v2 --percent 5,50",
        "--to v2 --percent five",
        "--to v2 --steps 5,101",
        "--to v2 --steps 5,100 --every 60",
        "--to v2 --steps 5,100 --every 0s",
        "--to v2 --back",
        "--back --off",
        f"--to v2 --steps {','.join('1' * 33)}",
    ],
)
async def test_what_does_not_go_together_is_a_wrong_usage(run: Commands, arguments: str) -> None:
    result = await run(rollout, str(CHAT), *arguments.split(), "--yes")
    assert result.exit_code == 2, result.output


async def test_steps_are_taken_one_after_the_other(chat: EventLog, run: Commands) -> None:
    result = await done(run, "--to", "v2", "--steps", "5,50,100", "--every", "50ms")
    shares = [getattr(one.event, "shares", {}).get("v2") async for one in chat.read()]
    assert shares[2:] == [5.0, 50.0, 100.0]
    told = [line.partition(" ")[2] for line in result.stderr.splitlines()]
    assert "v0 12.5%, v1 37.5%, v2 50%; then v2 100%, each after 0.05s" in told
    assert result.stderr.endswith("no step lies ahead\n")


async def test_a_rollout_that_does_worse_goes_back_by_itself(chat: EventLog, run: Commands) -> None:
    results: list[Result] = []

    async def roll() -> None:
        arguments = ("--to", "v2", "--steps", "5,100", "--every", "10m", "--yes")
        results.append(await run(rollout, str(CHAT), *arguments))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(roll)
        await wait_until(lambda: has_split(chat), "the first step is recorded")
        await chat.append(RouteFailedEvent(endpoint_id=CHAT, route_id=NEW))
    [result] = results
    reason = "revision v2: no route can take traffic"
    assert end_of(result) == 1
    assert result.stderr.endswith(f"the traffic went back: {reason}\n")
    state = await state_of(chat)
    assert (state.split, state.split_reason) == ({"v0": 25.0, "v1": 75.0}, reason)


async def length(log: EventLog) -> int:
    return len([one async for one in log.read()])


async def test_while_redis_is_away_the_command_tries_again(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    await record_chat(own_log)
    arguments = ("--to", "v2", "--steps", "5,100", "--every", "1s", "--yes")
    command = ("endpoints", "rollout", str(CHAT), *arguments)
    async with process_of(own_log, own_server.url, *command) as process:
        assert process.stderr is not None
        told = TextReceiveStream(process.stderr)
        await until_told(told, "traffic_split_updated")
        own_server.kill()
        await until_told(told, "trying again: ")
        await anyio.to_thread.run_sync(own_server.start)
        await until_told(told, "no step lies ahead")
        assert await process.wait() == 0
    assert (await state_of(own_log)).split == {"v2": 100.0}


async def test_following_nothing_says_so_and_without_a_server_it_ends(
    chat: EventLog, run: Commands, tmp_path: Path
) -> None:
    result = await run(rollout, str(CHAT), "--follow")
    assert (end_of(result), result.stderr) == (0, "no step lies ahead\n")
    nowhere = Commands(f"unix://{tmp_path}/none.sock", chat.keys.namespace)
    assert end_of(await nowhere(rollout, str(CHAT), "--follow")) == 4


async def until_told(told: TextReceiveStream, words: str) -> None:
    text = ""
    with anyio.fail_after(START_S):
        while words not in text:
            text += await told.receive()


async def has_split(log: EventLog) -> bool:
    return bool((await state_of(log)).split)


@asynccontextmanager
async def process_of(log: EventLog, url: str, *arguments: str) -> AsyncIterator[Process]:
    """Run a command as a process of its own, until it is killed at the end of the block."""
    environment = {**os.environ, "REDIS_URL": url, "ROUTESTREAM_NAMESPACE": log.keys.namespace}
    async with await anyio.open_process(
        routestream_command(*arguments), env=environment, stdout=DEVNULL, stderr=PIPE
    ) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_killed_command_leaves_the_traffic_and_another_goes_on(
    chat: EventLog, run: Commands, redis_url: str
) -> None:
    arguments = ("--to", "v2", "--steps", "5,100", "--every", "10m", "--yes")
    async with process_of(chat, redis_url, "endpoints", "rollout", str(CHAT), *arguments):
        await wait_until(lambda: has_split(chat), "the first step is recorded", START_S)
    state = await state_of(chat)
    assert state.split["v2"] == 5.0
    assert state.rollout == Rollout(
        to="v2", back={"v0": 25.0, "v1": 75.0}, percents=(100.0,), every_s=600.0
    )
    await chat.append(RouteFailedEvent(endpoint_id=CHAT, route_id=NEW))
    follower = await run(rollout, str(CHAT), "--follow")
    assert end_of(follower) == 1
    assert (await state_of(chat)).split == {"v0": 25.0, "v1": 75.0}


async def test_the_keeper_of_the_life_cycle_takes_the_steps_of_a_killed_command(
    chat: EventLog, redis_url: str
) -> None:
    async def has_all() -> bool:
        return (await state_of(chat)).split == {"v2": 100.0}

    arguments = ("--to", "v2", "--steps", "5,50,100", "--every", "1s", "--yes")
    async with process_of(chat, redis_url, "endpoints", "rollout", str(CHAT), *arguments):
        await wait_until(lambda: has_split(chat), "the first step is recorded", START_S)
    assert not await has_all()
    async with (
        consuming(member(chat, ROUTE_TABLE)),
        process_of(chat, redis_url, "consume", "life-cycle", "--metrics-port", str(free_port())),
    ):
        await wait_until(has_all, "all steps are taken", START_S)


async def test_the_status_has_a_row_for_each_revision(chat: EventLog, run: Commands) -> None:
    await done(run, "--to", "v2", "--percent", "20")
    await chat.append(RouteFailedEvent(endpoint_id=CHAT, route_id=OTHER))
    await build(chat, ReadModelStore(chat.server, chat.keys, ROUTE_TABLE, 0))
    assert await run.lines(rollout, "chat", "--status") == [
        "REVISION  ROUTES  HEALTH  SHARE  TRAFFIC",
        "v0  0/1  no health check  20%  0%",
        "v1  1/1  no health check  60%  75%",
        "v2  1/1  no health check  20%  25%",
        "split: v0 20%, v1 60%, v2 20%",
    ]
