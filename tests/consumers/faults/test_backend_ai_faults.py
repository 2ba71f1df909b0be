"""Backend.AI's Redis, ours and our processes go away; each entry is recorded once."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from consumers.backend_ai.backend_ai_group import backend_ai_consumers
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.losses import Losses
from events.log.append import TRIES_MAX
from events.log.log import EventLog, open_log
from producers.endpoints.endpoint_service import EndpointService
from tests.consumers.support.backend_ai import (
    GROUP,
    Cluster,
    cluster,
    endpoints,
    reading,
    recorded,
    route,
    session_of,
    until_delivered,
    until_read,
)
from tests.consumers.support.backend_ai_process import backend_ai_processes
from tests.consumers.support.handler_group import call_of_end, owner
from tests.consumers.support.logged import said, until_said
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import dead_letters, pending
from tests.support.script_calls import call_of
from tests.support.servers import Breaking, away, demoted, loading, standing_still
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import wait_until

FIRST_LIST = ["endpoint_health_check_updated", "endpoint_route_list_updated", "route_started"]
STATUS = "model_service_status_updated"

SCRIPTS = ("read", "hands", "round")
STEPS = {
    **{f"owned_{one}": call_of("consumers.handlers", f"owned_{one}") for one in SCRIPTS},
    "ends": call_of_end("first"),
}
"""What an entry passes, from its reading to its end."""

each_step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
each_way = pytest.mark.parametrize(
    "breaking", [away, standing_still, demoted, loading], ids=lambda one: one.__name__
)


@pytest.fixture
def endpoint_id() -> UUID:
    return uuid4()


@pytest.fixture
async def played(log: EventLog, own_server: EmbeddedServer) -> AsyncIterator[Cluster]:
    """A cluster whose Redis a test may break; our log lies on another server."""
    async with cluster(log, own_server.url) as opened:
        yield opened


@pytest.fixture
async def beside(own_log: EventLog, redis_url: str) -> AsyncIterator[Cluster]:
    """A cluster beside a log whose server a test may break."""
    async with cluster(own_log, redis_url) as opened:
        yield opened


@pytest.fixture
async def foreign_proxy(own_server: EmbeddedServer) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(own_server.port) as opened:
        yield opened


async def health_of(log: EventLog, endpoint_id: UUID) -> list[str]:
    return [one.health for one in (await endpoints(log))[endpoint_id].present_routes]


async def lost(played: Cluster) -> int:
    stream = played.stream
    return await Losses(stream.server, stream.keys, 0, GROUP).total()


@asynccontextmanager
async def dying(log: EventLog, played: Cluster) -> AsyncIterator[HandlerConsumer]:
    """Run a consumer beside the block, and cut it off at its end, as the end of a process does."""
    async with (
        backend_ai_consumers(log, "first", played.settings) as [member],
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(member.run)
        yield member
        tasks.cancel_scope.cancel()


@each_way
async def test_backend_ais_redis_goes_and_comes_back_and_each_entry_is_recorded_once(
    log: EventLog,
    own_server: EmbeddedServer,
    played: Cluster,
    endpoint_id: UUID,
    breaking: Breaking,
) -> None:
    with captured_lines() as lines:
        async with reading(log, played):
            await played.list_routes(endpoint_id, route(1))
            await until_read(played)
            async with breaking(own_server):
                await until_said(lines, "server_unavailable")
            await wait_until(lambda: _answers(played), "it answers again", timeout_s=30.0)
            await played.say_status(session_of(1), "healthy")
            await until_read(played)

    assert await recorded(log) == [*FIRST_LIST, STATUS]
    assert await lost(played) == 0


async def _answers(played: Cluster) -> bool:
    try:
        await played.set_key("any", "value")
    except Exception:  # noqa: BLE001 - however it says no
        return False
    return True


@each_way
async def test_our_redis_goes_and_comes_back_and_each_entry_is_recorded_once(
    own_log: EventLog,
    own_server: EmbeddedServer,
    beside: Cluster,
    endpoint_id: UUID,
    breaking: Breaking,
) -> None:
    with captured_lines() as lines:
        async with reading(own_log, beside):
            await beside.list_routes(endpoint_id, route(1))
            await until_read(beside)
            async with breaking(own_server):
                await beside.say_status(session_of(1), "healthy")
                await until_said(lines, "server_unavailable")
                assert list(await pending(beside.stream, GROUP)) != []
            await until_read(beside, timeout_s=60.0)

    assert await recorded(own_log) == [*FIRST_LIST, STATUS]
    assert await dead_letters(beside.stream, GROUP) == []


async def test_a_right_that_our_account_lacks_is_waited_for_and_no_try_is_counted(
    own_log: EventLog, beside: Cluster, endpoint_id: UUID
) -> None:
    call = own_log.server.client.call
    with captured_lines() as lines:
        async with reading(own_log, beside) as member:
            await call("ACL SETUSER", "default", "-xadd")
            await beside.list_routes(endpoint_id, route(1))
            await until_said(lines, "server_unavailable", "xadd")
            await call("ACL SETUSER", "default", "+xadd")
            await until_read(beside, timeout_s=60.0)

    assert await recorded(own_log) == FIRST_LIST
    assert member.progress.counts.failed == 0


async def test_an_append_without_an_answer_is_repeated_and_no_try_is_counted(
    own_server: EmbeddedServer, redis_url: str, namespace: str, endpoint_id: UUID
) -> None:
    async with (
        open_log(own_server.url, namespace=namespace) as log,
        tcp_proxy(own_server.port) as proxy,
        open_log(proxy.url, namespace=namespace) as through,
        cluster(log, redis_url) as played,
    ):
        with captured_lines() as lines:
            async with reading(through, played) as member:
                for _ in range(TRIES_MAX):
                    proxy.lose_next_reply_to(call_of("events.log", "append"))
                await played.list_routes(endpoint_id, route(1))
                await until_said(lines, "server_unavailable", "may or may not be in the log")
                await until_read(played, timeout_s=60.0)

        assert await recorded(log) == FIRST_LIST
        assert member.progress.counts.failed == 0


@each_step
async def test_a_lost_reply_records_nothing_twice(
    log: EventLog,
    own_server: EmbeddedServer,
    foreign_proxy: TcpProxy,
    endpoint_id: UUID,
    step: bytes,
) -> None:
    async with cluster(log, foreign_proxy.url) as played, reading(log, played):
        await played.list_routes(endpoint_id, route(1))
        await until_read(played)
        foreign_proxy.lose_next_reply_to(step)
        await played.say_status(session_of(1), "healthy")
        await wait_until(lambda: foreign_proxy.lost > 0, "a reply is lost")
        await until_read(played)

    assert own_server.is_running
    assert await recorded(log) == [*FIRST_LIST, STATUS]


@each_step
async def test_a_crash_at_any_step_records_the_entry_once(
    log: EventLog,
    own_server: EmbeddedServer,
    foreign_proxy: TcpProxy,
    endpoint_id: UUID,
    step: bytes,
) -> None:
    async with cluster(log, foreign_proxy.url) as played:
        async with dying(log, played):
            await played.list_routes(endpoint_id, route(1))
            await until_read(played)
            held = foreign_proxy.hold_next(step)
            await played.say_status(session_of(1), "healthy")
            await held.arrived.wait()
            foreign_proxy.retarget(1)  # where nobody listens
        async with cluster(log, own_server.url) as direct, reading(log, direct, "second"):
            await until_read(direct, timeout_s=60.0)

    assert await recorded(log) == [*FIRST_LIST, STATUS]


async def test_an_entry_that_comes_again_is_recognised_although_the_state_has_changed(
    log: EventLog, own_server: EmbeddedServer, foreign_proxy: TcpProxy, endpoint_id: UUID
) -> None:
    async with cluster(log, foreign_proxy.url) as played:
        async with dying(log, played):
            await played.list_routes(endpoint_id, route(1))
            await until_read(played)
            held = foreign_proxy.hold_next(STEPS["ends"])
            await played.say_status(session_of(1), "healthy")
            await held.arrived.wait()
            foreign_proxy.retarget(1)  # where nobody listens
        assert await recorded(log) == [*FIRST_LIST, STATUS]
        await EndpointService(log).record_status(endpoint_id, UUID(int=1), "unhealthy")
        async with cluster(log, own_server.url) as direct, reading(log, direct, "second"):
            await until_read(direct, timeout_s=60.0)

    assert await recorded(log) == [*FIRST_LIST, STATUS]
    assert await health_of(log, endpoint_id) == ["unhealthy"]


async def test_a_killed_process_is_followed_by_another_which_records_what_waits(
    log: EventLog, redis_url: str, endpoint_id: UUID
) -> None:
    async with (
        cluster(log, redis_url) as played,
        backend_ai_processes(log, redis_url, played) as processes,
    ):
        first = await processes.start("first")
        second = await processes.spawn("second")
        await played.list_routes(endpoint_id, route(1))
        await until_read(played)
        await played.say_status(session_of(2), "healthy")
        await until_delivered(played)
        await first.kill()
        await played.list_routes(endpoint_id, route(1), route(2))
        await until_read(played)

        assert await owner(played.stream, GROUP) == "second"
        assert await health_of(log, endpoint_id) == ["not_checked", "healthy"]
        assert await second.stop() == 0


async def test_a_process_that_stood_still_records_nothing_when_it_goes_on(
    log: EventLog, redis_url: str, endpoint_id: UUID
) -> None:
    async with (
        cluster(log, redis_url) as played,
        backend_ai_processes(log, redis_url, played) as processes,
    ):
        first = await processes.start("first")
        await played.list_routes(endpoint_id, route(1))
        await until_read(played)
        first.freeze()
        await played.say_status(session_of(1), "healthy")
        await processes.start("second")
        await until_read(played)
        first.process.send_signal(signal.SIGCONT)
        await played.say_status(session_of(1), "unhealthy")
        await until_read(played)

        assert await recorded(log) == [*FIRST_LIST, STATUS, STATUS]
        assert await health_of(log, endpoint_id) == ["unhealthy"]
        assert await owner(played.stream, GROUP) == "second"


TAKING_AWAY: dict[str, tuple[str, ...]] = {
    "the stream deleted": ("DEL", "{stream}"),
    "the stream renamed": ("RENAME", "{stream}", "{stream}:aside"),
    "all data flushed": ("FLUSHDB",),
    "the group destroyed": ("XGROUP", "DESTROY", "{stream}", GROUP),
}


@pytest.mark.parametrize("command", TAKING_AWAY.values(), ids=TAKING_AWAY.keys())
async def test_stream_or_group_are_taken_away_and_what_comes_after_is_recorded_once(
    log: EventLog, played: Cluster, endpoint_id: UUID, command: tuple[str, ...]
) -> None:
    stream = played.settings.stream
    with captured_lines() as lines:
        async with reading(log, played):
            await played.list_routes(endpoint_id, route(1))
            await played.say_status(session_of(1), "healthy")
            await until_read(played)
            await played.stream.server.client.call(*(one.format(stream=stream) for one in command))
            await wait_until(
                lambda: len(said(lines, "consumer_started")) == 2, "it has begun again", 30.0
            )
            await played.say_status(session_of(1), "unhealthy")
            await until_read(played)

    assert await recorded(log) == [*FIRST_LIST, STATUS, STATUS]
    assert await health_of(log, endpoint_id) == ["unhealthy"]


async def test_entries_that_were_trimmed_before_they_were_read_are_a_loss(
    log: EventLog, played: Cluster, endpoint_id: UUID
) -> None:
    with captured_lines() as lines:
        async with reading(log, played):
            await played.list_routes(endpoint_id, route(1))
            await until_read(played)
        for status in ("healthy", "unhealthy") * 10:
            await played.say_status(session_of(1), status)
        await played.stream.server.client.call("XTRIM", played.settings.stream, "MAXLEN", 5)
        async with reading(log, played, "second"):
            await until_read(played)

    assert await lost(played) == 15
    [told] = said(lines, "history_lost", "trimmed")
    assert told["entries"] == 15
    assert await health_of(log, endpoint_id) == ["unhealthy"]


async def test_what_is_trimmed_while_it_waits_for_our_redis_is_recorded(
    own_log: EventLog, own_server: EmbeddedServer, beside: Cluster, endpoint_id: UUID
) -> None:
    async with reading(own_log, beside):
        await beside.list_routes(endpoint_id, route(1))
        await until_read(beside)
        async with standing_still(own_server):
            for status in ("healthy", "unhealthy") * 3:
                await beside.say_status(session_of(1), status)
            await until_delivered(beside)
            await beside.stream.server.client.call("XTRIM", beside.settings.stream, "MAXLEN", 0)
            await _until_renewed_twice(beside)
        await wait_until(lambda: _nothing_pending(beside), "all are ended", timeout_s=60.0)

    assert await recorded(own_log) == [*FIRST_LIST, *[STATUS] * 6]
    assert await lost(beside) == 0


async def test_what_is_trimmed_while_its_process_is_gone_is_a_loss(
    own_log: EventLog, own_server: EmbeddedServer, beside: Cluster, endpoint_id: UUID
) -> None:
    async with dying(own_log, beside):
        await beside.list_routes(endpoint_id, route(1))
        await until_read(beside)
        own_server.pause()
        for status in ("healthy", "unhealthy"):
            await beside.say_status(session_of(1), status)
        await until_delivered(beside)
        await beside.stream.server.client.call("XTRIM", beside.settings.stream, "MAXLEN", 0)
    own_server.resume()
    async with reading(own_log, beside, "second"):
        await wait_until(lambda: _nothing_pending(beside), "all are ended", timeout_s=60.0)

    assert await recorded(own_log) == FIRST_LIST
    assert await lost(beside) == 2


async def _nothing_pending(played: Cluster) -> bool:
    return await pending(played.stream, GROUP) == {}


async def _until_renewed_twice(played: Cluster) -> None:
    """Return when the owner has renewed its lease twice: each looks at what it has in hand."""
    call = played.stream.server.client.call
    lease = played.stream.keys.lease(0, GROUP)
    for _ in range(2):
        left_ms: Any = await call("PTTL", lease)

        async def is_renewed() -> bool:
            nonlocal left_ms
            before_ms, left_ms = left_ms, await call("PTTL", lease)
            return bool(left_ms > before_ms)

        await wait_until(is_renewed, "the lease is renewed")
