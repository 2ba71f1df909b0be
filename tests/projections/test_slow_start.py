from collections.abc import Iterator
from uuid import UUID

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events import EventLog
from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START, EntryId
from events.server.server import now_of
from projections.read_model import ramps
from projections.read_model.ramps import Ramps
from projections.read_model.reader import ReaderSettings, open_reader
from projections.route_table.endpoint import Endpoint
from projections.route_table.routing import routable
from projections.route_table.slow_start import LEAST_PART, SlowStart
from tests.support.histories import FIT, E
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until

OTHER = UUID(int=0xF)
CHECK = HealthCheck(path="/health")
HEAVY = replace(FIT, traffic_ratio=2.0)


def began_at(ms: int) -> EntryId:
    return EntryId(ms, 0) if ms else START


def endpoint(
    started_ms: int, health_ms: int = 0, *, health_check: HealthCheck | None = CHECK
) -> Endpoint:
    route = replace(HEAVY, started_at=began_at(started_ms), health_at=began_at(health_ms))
    old = replace(HEAVY, route_id=UUID(int=2))
    return Endpoint(
        endpoint_id=E, health_check=health_check, routes={route.route_id: route, old.route_id: old}
    )


def weight(state: Endpoint, now_ms: int, within_s: float = 100.0) -> float:
    first, other = routable(state, 0.0, SlowStart(within_s, now_ms))
    assert other.traffic_ratio == 2.0
    return first.traffic_ratio


@pytest.mark.parametrize(
    ("age_s", "part"), [(0, 0.1), (5, 0.1), (25, 0.25), (50, 0.5), (99.4, 0.99), (100, 1), (1e6, 1)]
)
def test_a_weight_ramps_up_from_a_tenth_to_the_whole(age_s: float, part: float) -> None:
    now_ms = 1_000_000 + round(age_s * 1_000)
    assert weight(endpoint(1_000_000), now_ms) == pytest.approx(2.0 * part)


def test_a_ramp_begins_when_the_route_became_healthy_after_its_start() -> None:
    assert weight(endpoint(1_000_000, 1_050_000), 1_060_000) == pytest.approx(0.2)
    assert weight(endpoint(1_000_000, 1_050_000), 1_100_000) == pytest.approx(1.0)


def test_a_ramp_begins_anew_where_a_route_has_flapped_until_now() -> None:
    state = endpoint(1_000_000, 1_010_000)
    first, other = state.routes.values()
    flapped = replace(first, flapping_at=EntryId(1_050_000, 0))
    routes = {one.route_id: one for one in (flapped, other)}
    assert weight(replace(state, routes=routes), 1_080_000) == pytest.approx(0.6)


def test_without_a_health_check_it_begins_at_the_start_alone() -> None:
    state = endpoint(1_000_000, 1_090_000, health_check=None)
    assert weight(state, 1_050_000) == pytest.approx(1.0)


def test_a_route_of_which_nothing_is_known_but_its_list_has_its_whole_weight() -> None:
    assert weight(endpoint(0), 1_000_000) == 2.0


def test_a_clock_that_was_set_back_holds_no_weight_down_for_long() -> None:
    assert weight(endpoint(1_000_000), 995_000) == pytest.approx(0.2)
    assert weight(endpoint(1_000_000), 900_000) == 2.0


def test_a_ramp_changes_weights_within_a_revision_and_no_share_of_it() -> None:
    first, other = endpoint(1_000_000).routes.values()
    v1 = replace(HEAVY, route_id=UUID(int=3), labels={"revision": "v1"})
    v2 = [replace(one, labels={"revision": "v2"}) for one in (first, other)]
    split = Endpoint(
        endpoint_id=E,
        health_check=CHECK,
        routes={one.route_id: one for one in (*v2, v1)},
        split={"v1": 40.0, "v2": 60.0},
    )
    weights = [route.traffic_ratio for route in routable(split, 0.0, SlowStart(100.0, 1_050_000))]
    assert weights == pytest.approx([20.0, 40.0, 40.0])


@given(st.lists(st.integers(0, 200_000), min_size=2, max_size=10))
def test_a_weight_only_grows_with_time_and_is_never_nothing(ages_ms: list[int]) -> None:
    weights = [weight(endpoint(1_000_000), 1_000_000 + age_ms) for age_ms in sorted(ages_ms)]
    assert weights == sorted(weights)
    assert min(weights) >= 2 * LEAST_PART
    assert max(weights) <= 2.0


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(ramps, "RAMP_EVERY_S", 0.02)
        yield


async def test_what_ramps_is_told_of_and_once_more_when_it_has_its_whole_weight() -> None:
    told: list[UUID] = []
    states: list[Endpoint] = []
    now_ms = 1_050_000
    followed = Ramps(lambda: states, lambda: SlowStart(100.0, now_ms), told.extend)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(followed.run)
        states.append(endpoint(1_000_000))
        followed.note([E])
        await wait_until(lambda: len(told) > 2, "the endpoint is told of again and again")
        now_ms, before = 1_100_000, len(told)
        states.append(replace(endpoint(1_100_000), endpoint_id=OTHER))
        await wait_until(lambda: len(told) > before, "it is told of once more")
        followed.note([OTHER])
        await wait_until(lambda: told[-2:] == [OTHER, OTHER], "the other one is told of")
        tasks.cancel_scope.cancel()
    assert told[:before] == [E] * before
    assert told[before:].count(E) == 1


async def test_a_reader_gives_a_route_its_weight_little_by_little(log: EventLog) -> None:
    table = WrittenTable(log)
    await table.begin()
    settings = ReaderSettings(block_ms=50, slow_start_s=1.0)
    async with open_reader(log, settings) as reader:

        def seen() -> list[float]:
            return [route.traffic_ratio for route in reader.routable(E)]

        for number in range(1, 50):  # on a busy machine a ramp may be over before it is seen
            now_ms = round((await now_of(log.server)).timestamp() * 1_000)
            state = replace(endpoint(now_ms), version=EntryId(now_ms, number))
            await table.put(state)
            await wait_until(
                lambda state=state: reader.endpoint(E) == state,  # type: ignore[misc]
                "the reader has the route",
            )
            if seen()[0] < 2.0:
                break
        assert seen()[0] < 2.0
        assert seen()[1] == 2.0
        await wait_until(lambda: seen() == [2.0, 2.0], "both have their whole weights")
