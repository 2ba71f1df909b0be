from collections import Counter, defaultdict
from math import isclose
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.entry.entry_id import EntryId
from projections.route_table.balancer import Balancer
from projections.route_table.effective_weight import WHOLE
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route
from projections.route_table.routing import routable
from projections.route_table.traffic import traffic_of
from tests.support.histories import FIT, E


def of(revision: str, ratio: float = 1.0) -> Route:
    labels = {"revision": revision} if revision else {}
    return replace(FIT, labels=labels, traffic_ratio=ratio)


def endpoint(split: dict[str, float], *routes: Route) -> Endpoint:
    numbered = {
        UUID(int=place): replace(route, route_id=UUID(int=place))
        for place, route in enumerate(routes)
    }
    return Endpoint(endpoint_id=E, routes=numbered, split=split, split_at=EntryId(9, 0))


def weights(split: dict[str, float], *routes: Route) -> list[float]:
    return [route.traffic_ratio for route in routable(endpoint(split, *routes))]


def test_a_revisions_routes_divide_its_share_by_their_weights() -> None:
    assert weights({"v1": 95, "v2": 5}, of("v1", 3), of("v1", 1), of("v2", 0.5)) == pytest.approx(
        [71.25, 23.75, 5]
    )


def test_without_a_split_weights_are_as_they_were_set() -> None:
    assert weights({}, of("v1", 3), of("v2", 0.5), of("", 1)) == [3, 0.5, 1]


def test_a_revision_that_a_split_does_not_name_gets_nothing() -> None:
    assert weights({"v1": 1}, of("v1"), of("v2"), of("")) == [100]
    assert weights({"": 1, "v2": 3}, of("v1"), of("v2"), of("")) == [75, 25]


def test_a_share_without_a_route_that_can_take_it_is_left_to_the_others() -> None:
    sick = replace(of("v2"), status="terminating")
    assert weights({"v1": 90, "v2": 5, "v3": 5}, of("v1"), sick, of("v3")) == pytest.approx(
        [100 * 90 / 95, 100 * 5 / 95]
    )
    assert weights({"v1": 90, "v2": 10}, of("v1"), of("v2", 0)) == [100]


def test_a_share_of_nothing_is_none_even_where_no_other_revision_has_a_route() -> None:
    assert weights({"v1": 0, "v2": 1}, of("v1")) == []


def test_who_gets_no_share_is_told_so_with_the_split_that_decided() -> None:
    told = traffic_of(endpoint({"v1": 3, "v2": 1}, of("v1"), of("v2"), of("v3"), of("")))
    assert [one.share for one in told.values()] == [0.75, 0.25, 0, 0]
    assert [one.why_not for one in told.values()] == [
        *(None, None),
        *("no share for revision v3", "no share for routes without a revision"),
    ]
    assert {one.decided_at for one in told.values()} == {EntryId(9, 0)}


def test_requests_are_chosen_by_the_effective_weights_to_the_request() -> None:
    routes = [of("v1", 3), of("v1", 1), of("v2"), of("v3")]
    shared = routable(endpoint({"v1": 90, "v2": 10}, *routes))
    balancer = Balancer()
    chosen = Counter(str(balancer.choose(E, shared).route_id.int) for _ in range(1_000))  # type: ignore[union-attr]
    assert abs(chosen["0"] - 675) <= 1
    assert abs(chosen["1"] - 225) <= 1
    assert abs(chosen["2"] - 100) <= 1
    assert chosen["3"] == 0


REVISIONS = ("", "v1", "v2", "v3")
revisions = st.sampled_from(REVISIONS)
ratios = st.floats(1e-6, 1_000_000)
some_routes = st.lists(st.builds(of, revisions, ratios), max_size=8)
splits = st.dictionaries(revisions, st.just(0.0) | st.floats(1e-6, 1_000_000), min_size=1)


@given(splits, some_routes)
def test_the_effective_weights_are_percentages_that_add_up(
    split: dict[str, float], routes: list[Route]
) -> None:
    got = weights(split, *routes)
    has_any = any(split.get(route.revision) for route in routes)
    assert isclose(sum(got), WHOLE if has_any else 0.0)
    assert all(weight > 0 for weight in got)


@given(splits, some_routes)
def test_shares_keep_their_proportions_between_and_within_revisions(
    split: dict[str, float], routes: list[Route]
) -> None:
    before = endpoint(split, *routes).routes
    of_revision: defaultdict[str, float] = defaultdict(float)
    per_ratio: dict[str, set[float]] = {}
    for route in routable(endpoint(split, *routes)):
        of_revision[route.revision] += route.traffic_ratio
        ratio = route.traffic_ratio / before[route.route_id].traffic_ratio
        per_ratio.setdefault(route.revision, set()).add(ratio)
    assert all(isclose(min(each), max(each)) for each in per_ratio.values())
    scales = [weight / split[revision] for revision, weight in of_revision.items()]
    assert not scales or isclose(min(scales), max(scales))


@given(
    st.dictionaries(revisions, st.floats(0, 1_000_000), min_size=1),
    st.lists(st.builds(of, revisions, st.floats(0, 1_000_000)), max_size=8),
)
def test_no_weight_however_small_becomes_nothing_or_infinite(
    split: dict[str, float], routes: list[Route]
) -> None:
    assert all(0 < weight <= WHOLE for weight in weights(split, *routes))
