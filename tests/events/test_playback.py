"""Recorded traffic played once more is the same traffic, somewhere else."""

from time import monotonic
from uuid import uuid4

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.processes.embedded import EmbeddedServer
from events import (
    END,
    START,
    EndpointCreatedEvent,
    EntryId,
    EventLog,
    RouteTrafficRatioUpdatedEvent,
    open_log,
)
from events.history.history import History
from events.log.keys import partition_of
from events.transfer.playback import GAP_MAX_S, Pace, Playback, SameLogError, refuse_same_log
from tests.events.support.archives import add, in_stream

entry_ids = st.builds(EntryId, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@pytest.mark.parametrize(
    ("pace", "before", "now", "wait_s"),
    [
        (Pace(), 1_000, 5_000, 0),
        (Pace(per_s=4), 1_000, 1_000, 0.25),
        (Pace(speed=1), 1_000, 5_000, 4),
        (Pace(speed=10), 1_000, 5_000, 0.4),
        (Pace(speed=0.5), 1_000, 5_000, 8),
        (Pace(speed=1), 5_000, 1_000, 0),
        (Pace(speed=10), 0, 2**63, GAP_MAX_S / 10),
    ],
)
def test_a_pace_keeps_the_silences(pace: Pace, before: int, now: int, wait_s: float) -> None:
    assert pace.wait_s(EntryId(before, 3), EntryId(now, 0)) == pytest.approx(wait_s)
    assert pace.wait_s(None, EntryId(now, 0)) == 0


@given(before=entry_ids, now=entry_ids, speed=st.floats(0.01, 1_000_000))
def test_whatever_a_clock_did_no_wait_is_without_end(
    before: EntryId, now: EntryId, speed: float
) -> None:
    assert 0 <= Pace(speed=speed).wait_s(before, now) <= GAP_MAX_S / speed


async def play(
    source: EventLog, target: EventLog, start: EntryId = START, **options: bool
) -> list[tuple[int, EntryId]]:
    told: list[tuple[int, EntryId]] = []
    ends = [await source.head(p) for p in range(source.partitions)]
    playback = Playback(History(source), target, Pace(), **options)
    await playback.play(start, ends, lambda count, last: told.append((count, last)))
    return told


async def fields(log: EventLog, partition: int = 0) -> list[list[bytes]]:
    return [strings for _, strings in await in_stream(log, partition)]


async def test_entries_keep_their_fields_and_order_and_get_ids_of_now(
    log: EventLog, own_server: EmbeddedServer
) -> None:
    endpoint = uuid4()
    for ratio in (0.1, 0.2, 0.3):
        await log.append(
            RouteTrafficRatioUpdatedEvent(
                endpoint_id=endpoint, route_id=endpoint, traffic_ratio=ratio
            )
        )
    await log.server.client.call("XADD", log.keys.events(0), "*", b"\xff", b"\x00")

    async with open_log(own_server.url) as target:
        told = await play(log, target)

        assert await fields(target) == await fields(log)
        assert sum(count for count, _ in told) == 4
        heads = await target.server.client.execute_command("HGETALL", target.keys.heads(0))
        assert list(heads) == [str(endpoint).encode()]
        last = await target.head(0)
        assert last > await log.head(0)
        await target.append(
            EndpointCreatedEvent(endpoint_id=endpoint, name="n", model="m"),
            expected=EntryId.parse(heads[str(endpoint).encode()]),
        )


async def test_new_event_ids_make_new_facts_of_the_same(
    log: EventLog, own_server: EmbeddedServer
) -> None:
    await log.append(EndpointCreatedEvent(endpoint_id=uuid4(), name="n", model="m"))

    async with open_log(own_server.url) as target:
        await play(log, target, new_event_ids=True)
        [was], [is_now] = [one async for one in log.read()], [one async for one in target.read()]

    assert is_now.event == was.event
    assert is_now.event_id != was.event_id
    assert len(is_now.event_id) == len(was.event_id)


async def test_each_endpoint_lands_on_the_partition_that_it_has_there(
    redis_url: str, namespace: str, own_server: EmbeddedServer
) -> None:
    endpoints = [uuid4() for _ in range(30)]
    async with (
        open_log(redis_url, namespace=namespace, partitions=3) as source,
        open_log(own_server.url, partitions=2) as target,
    ):
        for _ in range(3):
            for one in endpoints:
                await source.append(EndpointCreatedEvent(endpoint_id=one, name="n", model="m"))

        await play(source, target)

        read = [one async for one in target.read()]
        assert len(read) == 90
        assert all(one.partition == partition_of(one.event.endpoint_id, 2) for one in read)
        for endpoint in endpoints:
            was = [one.event_id async for one in source.read() if one.event.endpoint_id == endpoint]
            assert [o.event_id for o in read if o.event.endpoint_id == endpoint] == was


async def test_a_step_never_cuts_between_entries_of_one_id(
    redis_url: str, namespace: str, own_server: EmbeddedServer
) -> None:
    """Otherwise going on behind the last id would pass over the other partitions' entries."""
    async with (
        open_log(redis_url, namespace=namespace, partitions=3) as source,
        open_log(own_server.url, partitions=3) as target,
    ):
        for partition in range(3):
            await add(source, *(f"{ms}-0" for ms in range(1, 301)), partition=partition)
        told = await play(source, target)

    assert sum(count for count, _ in told) == 900
    assert all(count % 3 == 0 for count, _ in told)
    assert len(told) > 1


async def test_interrupted_it_goes_on_behind_the_last_it_told_of(
    log: EventLog, own_server: EmbeddedServer
) -> None:
    await add(log, *(f"{ms}-0" for ms in range(1, 2_001)))
    last = START
    async with open_log(own_server.url) as target:
        playback = Playback(History(log), target, Pace(per_s=4_000))
        with anyio.CancelScope() as scope:

            def note(_count: int, now: EntryId) -> None:
                nonlocal last
                last = now
                if now.ms > 100:
                    scope.cancel()

            await playback.play(START, [END], note)
        assert 100 < last.ms < 2_000
        assert len(await in_stream(target)) == last.ms

        await play(log, target, last.after())

        assert await fields(target) == await fields(log)


async def test_the_pace_is_kept(log: EventLog, own_server: EmbeddedServer) -> None:
    await add(log, "1000-0", "1100-0", "1400-0", "1400-1")
    due_s = {1_000: 0.0, 1_100: 0.05, 1_400: 0.2}
    arrived: list[tuple[int, float]] = []
    async with open_log(own_server.url) as target:
        began_at = monotonic()
        playback = Playback(History(log), target, Pace(speed=2))
        await playback.play(
            START, [END], lambda _, last: arrived.append((last.ms, monotonic() - began_at))
        )

    # What is late comes together with what follows it; what is early waits.
    assert arrived[-1][0] == 1_400
    assert [(last, at) for last, at in arrived if round(at, 3) < due_s[last]] == []


async def test_a_log_is_not_played_into_itself(
    log: EventLog, redis_url: str, own_server: EmbeddedServer
) -> None:
    namespace = log.keys.namespace
    by_another_name = redis_url.replace("127.0.0.1", "localhost")
    async with (
        open_log(by_another_name, namespace=namespace) as same,
        open_log(redis_url, namespace=f"{namespace}-2") as other,
        open_log(f"{redis_url}/1", namespace=namespace) as database,
        open_log(own_server.url, namespace=namespace) as elsewhere,
    ):
        with pytest.raises(SameLogError, match="--into another"):
            await refuse_same_log(log, same)
        for fine in (other, database, elsewhere):
            await refuse_same_log(log, fine)
