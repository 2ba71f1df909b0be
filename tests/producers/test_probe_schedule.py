"""When probes are due, and how many may be under way: the laws of the schedule and the slots."""

from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import START, EntryId
from producers.checker.probes.address import Address
from producers.checker.schedule.probe_interval import drawn_interval_s
from producers.checker.schedule.probe_schedule import ProbeSchedule
from producers.checker.schedule.probe_slots import ProbeSlots
from producers.checker.schedule.target import Target
from producers.checker.settings import CheckerSettings
from producers.checker.verdict import CheckState
from producers.checker.watched_route import WatchedRoute
from projections.route_table.route import Health, unknown_route

CHECK = HealthCheck(path="/health", interval=10.0)
EVEN = CheckerSettings(jitter=0, backoff_after_s=600.0, backoff_times_max=4.0)

times = st.floats(min_value=0, max_value=1_000)


def watched(
    number: int = 0,
    *,
    endpoint: int = 0,
    host: str = "10.0.0.1",
    health: Health = "healthy",
    health_ms: int = 0,
    check: HealthCheck = CHECK,
) -> WatchedRoute:
    route = replace(
        unknown_route(UUID(int=number), START), health=health, health_at=EntryId(health_ms, 0)
    )
    target = Target(UUID(int=endpoint), route.route_id, Address(host, 8_000), START, check)
    return WatchedRoute(target, route, CheckState(health=health), seen_s=0.0)


def taken(schedule: ProbeSchedule, now: float) -> list[WatchedRoute]:
    found = []
    while (watch := schedule.take(now)) is not None:
        found.append(watch)
    return found


@given(st.lists(st.tuples(st.integers(0, 9), times), max_size=300), times)
def test_law_each_route_is_due_once_at_the_time_that_was_put_last(
    puts: list[tuple[int, float]], now: float
) -> None:
    schedule = ProbeSchedule()
    watches = [watched(number) for number in range(10)]
    for number, due_at in puts:
        schedule.put(watches[number], due_at)
    last = dict(puts)
    assert schedule.next_at() == min(last.values(), default=float("inf"))
    found = taken(schedule, now)
    assert {watch.target.route_id.int for watch in found} == {
        number for number, due_at in last.items() if due_at <= now
    }
    assert len(found) == len(set(map(id, found)))
    assert all(before.due_at <= after.due_at for before, after in pairwise(found))


def test_what_is_dropped_is_due_no_more() -> None:
    schedule = ProbeSchedule()
    stays, goes = watched(1), watched(2)
    schedule.put(goes, 1.0)
    schedule.put(stays, 2.0)
    schedule.drop(goes)
    assert schedule.next_at() == 2.0
    assert taken(schedule, 9.0) == [stays]


def test_a_route_that_is_put_over_and_over_takes_no_more_memory() -> None:
    schedule = ProbeSchedule()
    watch = watched()
    for due_at in range(10_000):
        schedule.put(watch, float(due_at))
    assert len(schedule._entries) < 200
    assert taken(schedule, 1e9) == [watch]


def test_an_endpoint_whose_routes_all_hang_leaves_slots_for_others() -> None:
    slots = ProbeSlots(100, 100)
    hanging = [watched(number, endpoint=1, host=f"10.0.0.{number}") for number in range(200)]
    assert sum(map(slots.take, hanging)) == 50
    assert slots.take(watched(endpoint=2))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.booleans()), max_size=200),
    st.integers(1, 20),
    st.integers(1, 10),
)
def test_law_slots_keep_their_bounds_and_the_first_of_an_endpoint_finds_one(
    moves: list[tuple[int, int, bool]], slots_max: int, host_max: int
) -> None:
    slots = ProbeSlots(slots_max, host_max)
    held: list[WatchedRoute] = []
    for endpoint, host, is_take in moves:
        if is_take:
            watch = watched(endpoint=endpoint, host=f"10.0.0.{host}")
            on_host = [one for one in held if one.target.address.host == f"10.0.0.{host}"]
            own = [one for one in held if one.target.endpoint_id == UUID(int=endpoint)]
            is_free = len(held) < slots_max and len(on_host) < host_max
            was_taken = slots.take(watch)
            assert was_taken <= is_free
            if is_free and not own:
                assert was_taken
            held += [watch] if was_taken else []
        elif held:
            slots.give_back(held.pop(0))
    for watch in held:
        slots.give_back(watch)
    assert slots.take(watched())


def test_a_route_that_was_unhealthy_for_long_is_probed_less_often_within_bounds() -> None:
    watch = watched(health="unhealthy", health_ms=1_000_000)
    waits = [drawn_interval_s(watch, EVEN, 1_000.0 + for_s) for for_s in (0, 600, 1_200, 1e6)]
    assert waits == [10.0, 10.0, 20.0, 40.0]
    assert drawn_interval_s(watched(health_ms=1_000_000), EVEN, 1e6) == 10.0


@given(st.floats(min_value=0.1, max_value=86_400), st.floats(min_value=0, max_value=0.5))
def test_law_max_retries_probes_are_made_within_as_many_intervals(
    interval: float, jitter: float
) -> None:
    check, settings = replace(CHECK, interval=interval), CheckerSettings(jitter=jitter)
    waits = [
        drawn_interval_s(watched(check=check), settings, 0.0) for _ in range(check.max_retries)
    ]
    assert sum(waits) <= check.max_retries * interval * 1.000_001
    assert min(waits) >= interval * (1 - jitter) * 0.999_999


@given(
    st.floats(min_value=0.1, max_value=86_400),
    st.floats(min_value=0, max_value=1e9),
    st.floats(min_value=1, max_value=1_000),
)
def test_law_no_back_off_lets_health_become_stale(
    interval: float, unhealthy_s: float, times_max: float
) -> None:
    watch = watched(health="unhealthy", check=replace(CHECK, interval=interval))
    settings = replace(EVEN, backoff_times_max=times_max)
    wait_s = drawn_interval_s(watch, settings, unhealthy_s)
    assert interval <= wait_s <= max(40.0, interval * 1.000_001)
