from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.event import Event
from events.catalogue.traffic_split import Rollout, TrafficSplitUpdatedEvent
from events.errors import InvalidEventError
from producers.errors import (
    EndpointDestroyedError,
    NoRolloutError,
    NothingToShareError,
    UnknownEndpointError,
    UnknownRevisionError,
)
from producers.rollout.rollout_decisions import Decision, end_split, go_back, roll_out
from projections.route_table.endpoint import Endpoint
from projections.route_table.traffic import traffic_of
from tests.support.histories import (
    created,
    destroyed,
    endpoint_of,
    history,
    listed,
    record,
    split,
    terminating,
)

HERE = {"status": "running", "kernel_host": "10.0.0.1", "kernel_port": 30_000}
V1 = record(0, labels={"revision": "v1"}, traffic_ratio=3.0, **HERE)
V2 = record(1, labels={"revision": "v2"}, **HERE)
PLAIN = record(2, **HERE)


def chat(*further: Event) -> Endpoint:
    return endpoint_of(history(created(), listed(V1, V2, PLAIN), *further))


def one(decision: Decision) -> TrafficSplitUpdatedEvent:
    [event] = decision
    assert isinstance(event, TrafficSplitUpdatedEvent)
    return event


def test_a_canary_leaves_the_rest_to_the_others_as_they_divided_it() -> None:
    event = one(roll_out(chat(), "v2", [5], reason="canary"))
    assert event.shares == {"": 23.75, "v1": 71.25, "v2": 5}
    assert event.rollout == Rollout(to="v2", back={"": 25.0, "v1": 75.0})
    assert event.reason == "canary"


def test_the_steps_that_lie_ahead_are_recorded_with_the_first() -> None:
    event = one(roll_out(chat(split({"v1": 1})), "v2", [5, 50, 100], every_s=60))
    assert event.shares == {"v1": 95, "v2": 5}
    assert event.rollout == Rollout(to="v2", back={"v1": 100.0}, percents=(50, 100), every_s=60)


def test_all_of_the_traffic_and_back_again() -> None:
    all_of_it = one(roll_out(chat(), "v2", [100]))
    assert all_of_it.shares == {"v2": 100}
    assert one(go_back(chat(all_of_it), "slow")).shares == {"": 25, "v1": 75}
    assert one(go_back(chat(all_of_it), "slow")).rollout is None
    assert one(go_back(chat(all_of_it), "slow")).reason == "slow"


def test_further_shares_of_the_same_rollout_keep_the_way_back() -> None:
    whole = one(roll_out(chat(), "v2", [100]))
    half = one(roll_out(chat(whole), "v2", [50]))
    assert half.shares == {"": 12.5, "v1": 37.5, "v2": 50}
    assert half.rollout == whole.rollout


def test_no_share_at_all_is_the_way_back_that_can_go_on() -> None:
    assert one(roll_out(chat(), "v2", [0])).shares == {"": 25, "v1": 75}


def test_ending_the_split_leaves_no_share_and_nothing_to_go_back_to() -> None:
    ended = one(end_split(chat(split({"v1": 1}, Rollout(to="v1", back={"v2": 1})))))
    assert (ended.shares, ended.rollout) == ({}, None)


@pytest.mark.parametrize(
    ("before", "decide"),
    [
        (split({"v1": 95, "v2": 5}, Rollout(to="v2", back={"v1": 100})), ("roll_out", 5)),
        (split({}), ("end_split", 0)),
    ],
    ids=["the same share", "no split"],
)
def test_nothing_is_recorded_that_is_so_already(before: Event, decide: tuple[str, float]) -> None:
    state = chat(before)
    name, percent = decide
    assert (roll_out(state, "v2", [percent]) if name == "roll_out" else end_split(state)) == ()


def test_a_revision_without_a_living_route_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UnknownRevisionError, match=r"no route with the label revision=v3; .* have '', 'v1', 'v2'$"
    ):
        roll_out(chat(), "v3", [5])
    with pytest.raises(UnknownRevisionError):
        roll_out(chat(terminating(1)), "v2", [5])


def test_a_rest_that_nobody_could_have_is_refused() -> None:
    alone = endpoint_of(history(created(), listed(V2)))
    with pytest.raises(NothingToShareError, match="could have 95 % of the traffic beside 'v2'"):
        roll_out(alone, "v2", [5])
    assert one(roll_out(alone, "v2", [100])).shares == {"v2": 100}
    with pytest.raises(NothingToShareError):
        roll_out(alone, "v2", [100, 50], every_s=60)


def test_without_a_rollout_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(NoRolloutError, match="no step of a rollout"):
        go_back(chat(split({"v1": 1})))
    alone = endpoint_of(history(created(), listed(V2), split({"v2": 1}, Rollout(to="v2", back={}))))
    with pytest.raises(NoRolloutError):
        go_back(alone)


@pytest.mark.parametrize("percent", [-1.0, 100.5, float("nan")])
def test_a_share_that_is_no_percentage_is_refused(percent: float) -> None:
    with pytest.raises(InvalidEventError, match="percent: must be from 0 to 100, got"):
        roll_out(chat(), "v2", [percent])


@pytest.mark.parametrize(
    "decide", [lambda state: roll_out(state, "v2", [5]), go_back, end_split], ids=range(3)
)
def test_an_endpoint_that_is_not_there_is_refused(decide: Callable[[Endpoint], Decision]) -> None:
    with pytest.raises(UnknownEndpointError):
        decide(endpoint_of([]))
    with pytest.raises(EndpointDestroyedError):
        decide(endpoint_of(history(created(), destroyed())))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_each_share_is_what_the_revision_gets_and_the_others_keep_their_proportion(
    percents: list[float],
) -> None:
    state = chat()
    for percent in percents:
        for event in roll_out(state, "v2", [percent]):
            state = chat(event)
        got = [traffic.share for traffic in traffic_of(state).values()]
        of_v1, of_v2, of_none = got
        assert of_v2 == pytest.approx(percent / 100)
        assert of_v1 == pytest.approx(3 * of_none)
