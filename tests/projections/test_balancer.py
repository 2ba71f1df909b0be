from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from math import gcd
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.entry.entry_id import START
from projections.route_table.balancer import Balancer, by_key
from projections.route_table.route import Route, unknown_route
from tests.support.histories import E
from tests.support.laws import examples

OTHER = UUID(int=0xF)
A, B, C = (UUID(int=number) for number in range(1, 4))
REQUESTS = 300
laws = settings(max_examples=examples(200), deadline=None)
weights = st.one_of(
    st.integers(1, 10).map(float),
    st.floats(0, 1_000_000, exclude_min=True),
    st.sampled_from([1.0, 0.1, 0.25, 1_000_000.0, 1e-9, 5e-324]),
)
several = st.lists(weights, min_size=1, max_size=12)


def routes_with(*given_weights: float) -> tuple[Route, ...]:
    """Return routes with the ids 1, 2, 3 and so on."""
    return tuple(
        replace(unknown_route(UUID(int=number), START), traffic_ratio=weight)
        for number, weight in enumerate(given_weights, start=1)
    )


def chosen(balancer: Balancer, routes: Sequence[Route], requests: int) -> list[UUID]:
    found = [balancer.choose(E, routes) for _ in range(requests)]
    return [route.route_id for route in found if route is not None]


def shares(routes: Sequence[Route]) -> dict[UUID, Fraction]:
    total = sum(Fraction(route.traffic_ratio) for route in routes)
    return {route.route_id: Fraction(route.traffic_ratio) / total for route in routes}


def test_three_to_one_is_spread_evenly() -> None:
    assert chosen(Balancer(), routes_with(3.0, 1.0), 8) == [A, B, A, A] * 2
    assert chosen(Balancer(), routes_with(1.0, 1.0, 1.0), 6) == [A, B, C] * 2
    five_to_one = "".join("ab"[one.int - 1] for one in chosen(Balancer(), routes_with(5, 1), 12))
    assert "aaaaaa" not in five_to_one[1:]


def test_of_no_routes_none_is_chosen_and_nothing_is_kept() -> None:
    balancer = Balancer()
    chosen(balancer, routes_with(1.0), 3)
    assert list(balancer.endpoints) == [E]
    assert balancer.choose(E, ()) is None
    assert list(balancer.endpoints) == []
    assert by_key((), "user-7") is None
    with balancer.least_loaded(E, ()) as route:
        assert route is None


@given(several)
@laws
def test_each_route_is_always_within_one_request_of_its_exact_share(
    given_weights: list[float],
) -> None:
    routes = routes_with(*given_weights)
    counts, exact = Counter[UUID](), shares(routes)
    for number, route_id in enumerate(chosen(Balancer(), routes, REQUESTS), start=1):
        counts[route_id] += 1
        assert all(abs(counts[one] - number * share) < 1 for one, share in exact.items())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 40))
@laws
def test_whole_weights_are_met_exactly_over_any_cycle(weights: list[int], begin: int) -> None:
    cycle = [weight // gcd(*weights) for weight in weights]
    found = chosen(Balancer(), routes_with(*map(float, weights)), begin + sum(cycle))
    counts = Counter(found[begin:])
    assert [counts[UUID(int=number)] for number in range(1, len(cycle) + 1)] == cycle


@given(st.data(), several, st.integers(0, 50))
@laws
def test_a_change_of_weights_makes_no_burst(
    data: st.DataObject, before: list[float], requests: int
) -> None:
    after = data.draw(st.lists(weights, min_size=len(before), max_size=len(before)))
    balancer = Balancer()
    chosen(balancer, routes_with(*before), requests)
    routes = routes_with(*after)
    counts, exact = Counter[UUID](), shares(routes)
    for number, route_id in enumerate(chosen(balancer, routes, REQUESTS), start=1):
        counts[route_id] += 1
        assert all(abs(counts[one] - number * share) < 2 for one, share in exact.items())


@given(several, st.data())
@settings(laws, max_examples=examples(80))
def test_weights_that_change_with_each_request_starve_no_route(
    given_weights: list[float], data: st.DataObject
) -> None:
    others = data.draw(st.permutations(given_weights))
    balancer, counts, exact = Balancer(), Counter[UUID](), dict[UUID, Fraction]()
    for number in range(100):
        routes = routes_with(*(others if number % 2 else given_weights))
        counts.update(chosen(balancer, routes, 1))
        for one, share in shares(routes).items():
            exact[one] = exact.get(one, Fraction()) + share
            assert abs(counts[one] - exact[one]) < 2


@given(st.lists(st.tuples(st.sets(st.integers(0, 5), min_size=1), st.integers(0, 9)), min_size=2))
@laws
def test_routes_that_come_and_go_leave_the_others_their_shares(
    changes: list[tuple[set[int], int]],
) -> None:
    balancer, all_routes = Balancer(), routes_with(3.0, 1.0, 0.5, 2.0, 1.0, 0.1)
    routes: tuple[Route, ...] = all_routes
    for present, requests in changes:
        routes = tuple(all_routes[place] for place in sorted(present))
        assert set(chosen(balancer, routes, requests)) <= {route.route_id for route in routes}
    chosen(balancer, routes, 100)
    counts = Counter(chosen(balancer, routes, 1_000))
    assert all(abs(counts[one] - 1_000 * share) < 2 for one, share in shares(routes).items())


def test_a_route_that_changes_in_other_ways_keeps_its_turn() -> None:
    balancer, routes = Balancer(), routes_with(3.0, 1.0)
    moved = (replace(routes[0], kernel_host="10.0.0.9"), routes[1])
    assert chosen(balancer, routes, 2) == [A, B]
    found = [balancer.choose(E, moved) for _ in range(2)]
    assert found == [moved[0], moved[0]]


def test_each_endpoint_has_turns_of_its_own_until_it_is_forgotten() -> None:
    balancer, routes = Balancer(), routes_with(1.0, 1.0)
    assert balancer.choose(E, routes) == routes[0]
    assert balancer.choose(OTHER, routes) == routes[0]
    assert balancer.choose(E, routes) == routes[1]
    balancer.forget(OTHER)
    balancer.forget(UUID(int=99))
    assert list(balancer.endpoints) == [E]
    assert balancer.choose(OTHER, routes) == routes[0]


def owner_of(key: str | bytes, routes: Sequence[Route]) -> UUID:
    route = by_key(routes, key)
    assert route is not None
    return route.route_id


KEYS = [f"user-{number}" for number in range(2_000)]


@given(several.filter(lambda drawn: len(drawn) > 1), st.data())
@settings(laws, max_examples=examples(30))
def test_a_route_that_goes_moves_its_own_keys_only(
    given_weights: list[float], data: st.DataObject
) -> None:
    routes = routes_with(*given_weights)
    gone = data.draw(st.sampled_from(routes))
    remaining = tuple(route for route in routes if route is not gone)
    for key in KEYS[:200]:
        before = owner_of(key, routes)
        assert before in (gone.route_id, owner_of(key, remaining))


def test_keys_are_shared_out_by_weight_and_a_weight_that_rises_only_takes_keys() -> None:
    routes, more = routes_with(3.0, 1.0), routes_with(3.0, 2.0)
    before = {key: owner_of(key, routes) for key in KEYS}
    after = {key: owner_of(key, more) for key in KEYS}
    assert 0.7 < Counter(before.values())[A] / len(KEYS) < 0.8
    assert {after[key] for key in KEYS if after[key] != before[key]} == {B}


def test_a_key_belongs_to_the_same_route_in_every_process_as_text_or_bytes() -> None:
    routes = routes_with(1.0, 1.0, 1.0, 1.0)
    owners = [owner_of(key, routes).int for key in KEYS[:8]]
    assert owners == [4, 2, 4, 3, 3, 1, 2, 2]
    assert owner_of("ü", routes) == owner_of("ü".encode(), routes)


@given(st.integers(0, 2**32), st.sampled_from([(1.0, 1.0), (3.0, 1.0), (0.5, 2.0)]))
@laws
def test_of_two_routes_the_less_loaded_by_weight_is_given(
    seed: int, given_weights: tuple[float, float]
) -> None:
    balancer, routes = Balancer(seed), routes_with(*given_weights)
    counts, exact = Counter[UUID](), shares(routes)
    with ExitStack() as requests:
        for number in range(1, 41):
            route = requests.enter_context(balancer.least_loaded(E, routes))
            assert route is not None
            counts[route.route_id] += 1
            assert all(abs(counts[one] - number * share) <= 1 for one, share in exact.items())


def test_a_request_that_ended_or_failed_is_no_load_any_more() -> None:
    balancer, routes = Balancer(7), routes_with(1.0, 1.0)
    with balancer.least_loaded(E, routes) as slow:
        for _ in range(20):
            with suppress(ConnectionError), balancer.least_loaded(E, routes) as route:
                assert route is not slow
                raise ConnectionError
    with balancer.least_loaded(E, routes[:1]) as route:
        assert route is routes[0]


def test_many_requests_in_flight_are_spread_over_many_routes() -> None:
    balancer, routes = Balancer(7), routes_with(*[1.0] * 20)
    counts = Counter[UUID]()
    with ExitStack() as requests:
        for _ in range(400):
            route = requests.enter_context(balancer.least_loaded(E, routes))
            assert route is not None
            counts[route.route_id] += 1
    assert len(counts) == len(routes)
    assert max(counts.values()) <= 24  # at random it would be 30 and more
