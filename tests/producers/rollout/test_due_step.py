from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.event import Event
from events.catalogue.traffic_split import Rollout, TrafficSplitUpdatedEvent
from events.entry.entry_id import EntryId
from producers.rollout.due_step import due_step, is_under_way
from producers.rollout.health_gate import GateSettings
from projections.requests.request_counts import RequestCounts
from projections.route_table.endpoint import Endpoint
from tests.support.histories import (
    ROUTES,
    created,
    endpoint_of,
    history,
    listed,
    record,
    recorded,
    split,
    switched,
    terminating,
)

HERE = {"status": "running", "kernel_host": "10.0.0.1", "kernel_port": 30_000}
V1 = record(0, labels={"revision": "v1"}, **HERE)
V2 = record(1, labels={"revision": "v2"}, **HERE)
AT_MS = 1_000_000
BACK = {"v1": 100.0}
FAILING = {ROUTES[1]: RequestCounts(successes=50, failures=50)}


def chat(percents: tuple[float, ...], every_s: float, *further: Event) -> Endpoint:
    """Return an endpoint whose canary of 5 % was recorded at `AT_MS`."""
    rollout = Rollout(to="v2", back=BACK, percents=percents, every_s=every_s)
    canary = recorded(split({"v1": 95.0, "v2": 5.0}, rollout), EntryId(AT_MS, 0))
    later = [recorded(event, EntryId(AT_MS, 1 + n)) for n, event in enumerate(further)]
    return endpoint_of([*history(created(), listed(V1, V2)), canary, *later])


def step(
    endpoint: Endpoint, after_s: float, reports: dict[UUID, RequestCounts] | None = None
) -> TrafficSplitUpdatedEvent | None:
    now_ms = AT_MS + round(after_s * 1_000)
    decision = due_step(endpoint, now_ms, reports or {}, GateSettings())
    assert len(decision) <= 1
    return decision[0] if decision else None  # type: ignore[return-value]


def test_given_a_step_that_is_not_due_nothing_is() -> None:
    assert step(chat((50.0,), 60.0), 59.999) is None
    assert step(chat((50.0,), 60.0), -5) is None  # the server's clock was set back


def test_given_a_step_that_is_due_it_is_taken_and_the_others_lie_ahead() -> None:
    taken = step(chat((50.0, 100.0), 60.0), 60)
    assert taken is not None
    assert taken.shares == {"v1": 50.0, "v2": 50.0}
    assert taken.rollout == Rollout(to="v2", back=BACK, percents=(100.0,), every_s=60.0)


def test_given_nobody_who_asked_for_hours_one_step_is_taken_not_all() -> None:
    taken = step(chat((25.0, 50.0, 100.0), 60.0), 36_000)
    assert taken is not None
    assert taken.shares["v2"] == 25.0


def test_given_a_revision_that_does_worse_the_traffic_goes_back_at_once() -> None:
    back = step(chat((50.0, 100.0), 60.0), 1, FAILING)
    assert back is not None
    assert (back.shares, back.rollout) == (BACK, None)
    assert back.reason == "revision v2: 50.0% of 100 requests failed, 0.0% of 0 before"


def test_given_the_last_step_it_is_watched_for_as_long_as_the_others() -> None:
    last = chat((), 60.0)
    assert step(last, 59, FAILING) is not None
    assert step(last, 59) is None
    assert step(last, 60, FAILING) is None
    assert is_under_way(last, AT_MS + 59_999)
    assert not is_under_way(last, AT_MS + 60_000)


def test_given_a_share_that_a_person_set_nobody_goes_on_or_back() -> None:
    by_hand = chat((50.0,), 60.0, split({"v1": 75.0, "v2": 25.0}, Rollout(to="v2", back=BACK)))
    assert step(by_hand, 3_600, FAILING) is None
    assert not is_under_way(by_hand, AT_MS)
    assert step(chat((50.0,), 60.0, split({}, None)), 3_600, FAILING) is None
    assert step(chat((50.0,), 0.0), 3_600, FAILING) is None


def test_given_routes_that_have_gone_the_traffic_goes_back() -> None:
    gone = chat((50.0,), 60.0, terminating(1))
    back = step(gone, 0)
    assert back is not None
    assert back.reason == "revision v2: no route can take traffic"


def test_given_traffic_that_is_switched_off_the_steps_go_on() -> None:
    taken = step(chat((50.0,), 60.0, switched("inactive", None)), 60)
    assert taken is not None
    assert taken.shares["v2"] == 50.0


@given(st.lists(st.floats(0, 200), min_size=1, max_size=20))
def test_whoever_asks_and_however_often_the_steps_are_the_same(asked: list[float]) -> None:
    """Two that ask at the same moments, the second on the state that the first left."""
    state = chat((25.0, 50.0, 100.0), 10.0)
    taken: list[float] = []
    now = 0.0
    for wait_s in asked:
        now += wait_s
        for _ in range(2):
            event = step(state, now)
            if event is not None:
                taken.append(event.shares["v2"])
                at = EntryId(AT_MS + round(now * 1_000), 0)
                state = endpoint_of([*history(created(), listed(V1, V2)), recorded(event, at)])
    assert taken == [25.0, 50.0, 100.0][: len(taken)]
    assert len(taken) >= min(3, sum(1 for wait_s in asked if wait_s >= 10))
