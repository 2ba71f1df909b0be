"""What the group backend-ai records of Backend.AI's stream, and what it tells of the rest."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import anyio
import msgspec
import pytest

from consumers.backend_ai import entry_recorder
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.publishers.backend_ai.core_redis import SOURCE
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatusEvent
from events.entry.position import time_of
from events.log.log import EventLog
from producers.endpoints.endpoint_service import EndpointService
from projections.route_table.endpoint import Endpoint
from projections.route_table.routing import routable
from tests.consumers.support.backend_ai import (
    GROUP,
    Cluster,
    cluster,
    endpoints,
    reading,
    recorded,
    route,
    session_of,
    until_read,
)
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import dead_letters
from tests.support.waiting import wait_until

FIRST_LIST = ["endpoint_health_check_updated", "endpoint_route_list_updated", "route_started"]
STATUS = "model_service_status_updated"


@pytest.fixture
async def played(log: EventLog, redis_url: str) -> AsyncIterator[Cluster]:
    async with cluster(log, redis_url) as opened:
        yield opened


@pytest.fixture
async def reader(log: EventLog, played: Cluster) -> AsyncIterator[HandlerConsumer]:
    async with reading(log, played) as member:
        yield member


@pytest.fixture
def endpoint_id() -> UUID:
    return uuid4()


async def endpoint(log: EventLog, endpoint_id: UUID) -> Endpoint:
    return (await endpoints(log))[endpoint_id]


def found(reader: HandlerConsumer) -> dict[str, int]:
    """Return what was found, without what was not."""
    return {finding: count for finding, count in reader.progress.findings.items() if count}


async def test_a_list_and_its_statuses_are_recorded_with_their_times(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.list_routes(endpoint_id, route(1))
    entry_id = await played.say_status(session_of(1), "healthy")
    await until_read(played)

    assert await recorded(log) == [*FIRST_LIST, STATUS]
    [shown] = (await endpoint(log, endpoint_id)).present_routes
    assert (shown.kernel_port, shown.health) == (30_001, "healthy")
    *_, status = [one.event async for one in log.read()]
    assert isinstance(status, ModelServiceStatusEvent)
    assert abs((status.observed_at - time_of(entry_id)).total_seconds()) < 0.001
    assert found(reader) == {"recorded": 2}


@pytest.mark.usefixtures("reader")
async def test_both_wire_formats_are_read_with_and_without_metadata(
    log: EventLog, played: Cluster, endpoint_id: UUID
) -> None:
    await played.hand_over(endpoint_id, [route(1), route(2)])
    name = "endpoint_route_list_updated"
    payload = msgspec.json.encode({"endpoint_id": str(endpoint_id)})
    await played.add_fields({"name": name, "source": "manager", "payload": payload})
    args = msgspec.msgpack.encode([str(session_of(1)), "healthy"])
    await played.add_fields({"name": STATUS, "source": "agent", "args": args})
    body = msgspec.json.encode({"session_id": str(session_of(2)), "new_status": "unhealthy"})
    await played.add_fields(
        {"name": STATUS, "source": "agent", "payload": body, "metadata": b'{"traceparent":null}'}
    )
    await until_read(played)

    shown = (await endpoint(log, endpoint_id)).present_routes
    assert [one.health for one in shown] == ["healthy", "unhealthy"]


async def test_copies_echoes_and_identical_lists_record_nothing(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.list_routes(endpoint_id, route(1))
    await played.say_status(session_of(1), "healthy")
    await until_read(played)
    before = await recorded(log)
    await played.list_routes(endpoint_id, route(1))
    await played.say_status(session_of(1), "healthy")
    await played.say_status(session_of(1), "unhealthy", _retry_count="1")
    await played.say_status(session_of(1), "unhealthy", source="routestream")
    await until_read(played)
    await played.list_routes(endpoint_id, route(2), _retry_count="3")
    await played.say_list(endpoint_id, source="routestream")
    await played.add("session_started", str(session_of(1)), "user-requested")
    await played.add("kernel_started", str(session_of(1)), "user-requested")
    await until_read(played)

    assert await recorded(log) == before
    assert found(reader) == {"recorded": 2, "unchanged": 3, "redelivered": 2, "echo": 2}
    assert reader.progress.counts.skipped == 1


async def test_what_becomes_of_a_session_becomes_of_its_route(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.list_routes(endpoint_id, route(1), route(2))
    await until_read(played)
    before = len(await recorded(log))
    await played.add("session_terminating", str(session_of(1)), "scale-down")
    await played.add("session_terminated", str(session_of(1)), "scale-down")
    await played.add("session_terminated", str(session_of(2)), "killed-by-event")
    await played.add("session_terminated", str(session_of(3)), "of no model")
    await until_read(played)

    assert (await recorded(log))[before:] == [
        "route_terminating",
        "route_terminated",
        "route_terminated",
    ]
    assert "unmatched" not in found(reader)


def test_an_echo_is_known_by_the_source_that_the_publisher_writes() -> None:
    assert SOURCE.encode() == entry_recorder.OWN_SOURCE


async def test_only_a_change_of_health_is_recorded(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.list_routes(endpoint_id, route(1))
    for status in ("healthy", "healthy", "unhealthy", "unhealthy", "healthy"):
        await played.say_status(session_of(1), status)
    await until_read(played)

    assert (await recorded(log)).count(STATUS) == 3
    assert found(reader) == {"recorded": 4, "unchanged": 2}


async def test_a_missing_list_is_told_and_counted_and_never_an_empty_one(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.list_routes(endpoint_id, route(1))
    await until_read(played)
    before = await recorded(log)
    key = f"endpoint.{endpoint_id}.route_connection_info"
    with captured_lines() as lines:
        await played.delete_key(key)
        await played.say_list(endpoint_id)
        await until_read(played)

    assert await recorded(log) == before
    assert found(reader) == {"recorded": 1, "key_missing": 1}
    [told] = [line for line in lines if line["event"] == "key_missing"]
    assert told["problem"] == f"{key}: the key is not there, or has expired"


async def test_an_expired_weight_stays_what_is_recorded(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    weight = f"endpoint.{endpoint_id}.session.{session_of(1)}.traffic_ratio"
    await played.set_key(weight, "0.25")
    await played.list_routes(endpoint_id, route(1))
    await until_read(played)
    await played.delete_key(weight)
    await played.list_routes(endpoint_id, route(1), route(2))
    await until_read(played)

    shown = (await endpoint(log, endpoint_id)).present_routes
    assert [one.traffic_ratio for one in shown] == [0.25, 1.0]
    assert found(reader) == {"recorded": 2, "key_missing": 1}


async def test_an_expired_health_check_stays_what_is_recorded(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.hand_over(endpoint_id, [route(1)])
    await played.set_key(f"endpoint.{endpoint_id}.health_check_enabled", "true")
    await played.set_key(f"endpoint.{endpoint_id}.health_check_config", '{"path":"/ready"}')
    await played.say_list(endpoint_id)
    await until_read(played)
    await played.delete_key(f"endpoint.{endpoint_id}.health_check_enabled")
    await played.say_list(endpoint_id)
    await until_read(played)
    await played.set_key(f"endpoint.{endpoint_id}.health_check_enabled", "true")
    await played.delete_key(f"endpoint.{endpoint_id}.health_check_config")
    await played.say_list(endpoint_id)
    await until_read(played)

    assert (await endpoint(log, endpoint_id)).health_check == HealthCheck(path="/ready")
    assert found(reader) == {"recorded": 1, "unchanged": 2, "key_missing": 2}


async def test_a_new_endpoint_of_a_release_without_keys_about_health_is_not_checked(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.hand_over(endpoint_id, [route(1)])
    await played.delete_key(f"endpoint.{endpoint_id}.health_check_enabled")
    args = msgspec.msgpack.encode([str(endpoint_id)])  # and no metadata, as releases up to 25.11
    await played.add_fields({"name": "endpoint_route_list_updated", "args": args})
    await until_read(played)

    shown = await endpoint(log, endpoint_id)
    assert shown.health_check is None
    assert [one.session_id for one in routable(shown)] == [session_of(1)]
    assert found(reader) == {"recorded": 1, "key_missing": 1}


async def test_a_refused_route_stays_as_recorded_and_its_neighbours_are_recorded(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.list_routes(endpoint_id, route(1), route(2))
    await until_read(played)
    with captured_lines() as lines:
        await played.list_routes(
            endpoint_id,
            route(1, kernel_host="10.0.0.9"),
            route(2, kernel_port=70_000),
            route(3, kernel_port=0),
            route(4),
        )
        await until_read(played)

    shown = (await endpoint(log, endpoint_id)).present_routes
    assert [(one.route_id.int, one.kernel_host, one.kernel_port) for one in shown] == [
        (1, "10.0.0.9", 30_001),
        (2, "10.0.0.1", 30_002),
        (4, "10.0.0.1", 30_004),
    ]
    assert found(reader) == {"recorded": 2, "route_refused": 2}
    told = [line["problem"] for line in lines if line["event"] == "route_refused"]
    assert [one.partition(": ")[2][:21] for one in told] == [
        "vllm[1]: kernel_port:",
        "vllm[2]: kernel_port:",
    ]


async def test_a_status_waits_for_its_list(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.say_status(session_of(1), "unhealthy")
    await played.say_status(session_of(1), "healthy")
    await wait_until(lambda: reader.progress.counts.retried > 0, "the status waits")
    await played.list_routes(endpoint_id, route(1))
    await until_read(played)

    [shown] = (await endpoint(log, endpoint_id)).present_routes
    assert shown.health == "healthy"
    assert found(reader) == {"recorded": 3}


async def test_a_status_that_no_list_names_is_told_as_unmatched_after_a_while(
    log: EventLog, played: Cluster, reader: HandlerConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_recorder, "STATUS_WAIT_S", 0.5)
    with captured_lines() as lines:
        await played.say_status(session_of(1), "healthy")
        await until_read(played)

    assert reader.progress.counts.retried > 0
    assert found(reader) == {"unmatched": 1}
    [told] = [line for line in lines if line["event"] == "status_unmatched"]
    assert (told["session_id"], told["new_status"]) == (str(session_of(1)), "healthy")
    assert await recorded(log) == []
    assert await dead_letters(played.stream, GROUP) == []


async def test_no_more_sessions_wait_than_may(
    log: EventLog, played: Cluster, reader: HandlerConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_recorder, "SESSIONS_WAITING_MAX", 2)
    for number in range(1, 6):
        await played.say_status(session_of(number), "healthy")
    await wait_until(lambda: found(reader) == {"unmatched": 3}, "three are unmatched at once")
    assert await recorded(log) == []


@pytest.mark.usefixtures("reader")
async def test_a_broken_entry_is_a_dead_letter_and_extensions_are_never_decoded(
    log: EventLog, played: Cluster, endpoint_id: UUID
) -> None:
    pickle = msgspec.msgpack.encode([msgspec.msgpack.Ext(6, b"cos\nsystem\n(S'true'\ntR.")])
    await played.add_fields({"name": "endpoint_route_list_updated", "args": pickle})
    await played.list_routes(endpoint_id, route(1))
    await until_read(played)

    [dead] = await dead_letters(played.stream, GROUP)
    assert dead.reason == "undecodable"
    assert "endpoint_route_list_updated: args" in dead.error
    assert await recorded(log) == FIRST_LIST


async def test_a_new_group_begins_with_the_oldest_entry_that_is_there(
    log: EventLog, played: Cluster, endpoint_id: UUID
) -> None:
    await played.list_routes(endpoint_id, route(1))
    await played.say_status(session_of(1), "healthy")
    async with reading(log, played):
        await until_read(played)

    assert await recorded(log) == [*FIRST_LIST, STATUS]


@pytest.mark.usefixtures("reader")
async def test_what_another_producer_records_meanwhile_is_kept(
    log: EventLog, played: Cluster, endpoint_id: UUID
) -> None:
    service = EndpointService(log)
    await played.list_routes(endpoint_id, route(1))
    await until_read(played)
    await service.set_traffic_ratio(endpoint_id, UUID(int=1), 0.5)
    await played.list_routes(endpoint_id, route(1), route(2))
    await until_read(played)

    shown = (await endpoint(log, endpoint_id)).present_routes
    assert [one.traffic_ratio for one in shown] == [0.5, 1.0]


async def test_other_groups_keep_all_their_entries_and_nothing_is_trimmed(
    log: EventLog, played: Cluster, endpoint_id: UUID
) -> None:
    call = played.stream.server.client.call
    stream = played.settings.stream
    await call("XGROUP", "CREATE", stream, "manager", "$", "MKSTREAM")
    async with reading(log, played):
        await played.list_routes(endpoint_id, route(1))
        for status in ("healthy", "unhealthy") * 20:
            await played.say_status(session_of(1), status)
        await until_read(played)

    assert await call("XLEN", stream) == 41
    taken = await call("XREADGROUP", "GROUP", "manager", "m", "COUNT", 100, "STREAMS", stream, ">")
    assert isinstance(taken, list)
    assert len(taken[0][1]) == 41


async def test_a_destroyed_endpoint_takes_no_list(
    log: EventLog, played: Cluster, reader: HandlerConsumer, endpoint_id: UUID
) -> None:
    await played.list_routes(endpoint_id, route(1))
    await until_read(played)
    await EndpointService(log).destroy(endpoint_id)
    await played.list_routes(endpoint_id, route(2))
    await until_read(played)

    assert (await endpoint(log, endpoint_id)).is_destroyed
    assert found(reader) == {"recorded": 1, "list_refused": 1}


async def test_a_soft_stop_leaves_a_waiting_status_to_the_next_process(
    log: EventLog, played: Cluster, endpoint_id: UUID
) -> None:
    async with reading(log, played) as first:
        await played.say_status(session_of(1), "healthy")
        await wait_until(lambda: first.progress.counts.retried > 0, "the status waits")
    with anyio.fail_after(30):
        async with reading(log, played, "second"):
            await played.list_routes(endpoint_id, route(1))
            await until_read(played)

    [shown] = (await endpoint(log, endpoint_id)).present_routes
    assert shown.health == "healthy"
