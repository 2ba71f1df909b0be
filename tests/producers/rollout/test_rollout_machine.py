"""Random rollouts among random changes of routes, looked at by a keeper now and then."""

from collections import defaultdict
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.catalogue.route import TrafficStatus
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from producers.errors import NoRolloutError, NothingToShareError, UnknownRevisionError
from producers.rollout.due_step import due_step, is_gradual, is_under_way
from producers.rollout.health_gate import GateSettings
from producers.rollout.rollout_decisions import Decision, end_split, go_back, roll_out
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.routing import routable
from tests.support.histories import (
    E,
    created,
    endpoint_of,
    failed,
    flapping,
    listed,
    observed,
    record,
    recorded,
    route_created,
    started,
    switched,
    terminating,
    weighted,
)
from tests.support.laws import examples

REVISIONS = ("v1", "v2", "v2")
"""Of the three routes."""

HERE = {"status": "running", "kernel_host": "10.0.0.1", "kernel_port": 80}
places = st.integers(0, 2)
percents = st.lists(st.sampled_from([0.0, 5.0, 25.0, 50.0, 100.0]), min_size=1, max_size=4)


def route(place: int) -> dict[str, Any]:
    return {"labels": {"revision": REVISIONS[place]}, **HERE}


class RolloutMachine(RuleBasedStateMachine):
    """One endpoint of three routes and two revisions, and the server's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_000_000
        self.history: list[RecordedEvent] = []
        self.state: Endpoint = ROUTE_TABLE.initial(E)

    def append(self, *events: Event) -> None:
        for event in events:
            self.now_ms += 1
            one = recorded(event, EntryId(self.now_ms, 0))
            self.history.append(one)
            self.state = ROUTE_TABLE.evolve(self.state, one)

    def decide(self, decision: Decision) -> None:
        self.append(*decision)

    @initialize(checked=st.booleans())
    def begin(self, *, checked: bool) -> None:
        check = HealthCheck(path="/health") if checked else None
        self.append(created(health_check=check), listed(*(record(n, **route(n)) for n in range(3))))

    @rule(place=places, status=st.sampled_from(["healthy", "unhealthy"]))
    def find(self, place: int, status: ModelServiceStatus) -> None:
        self.append(observed(status, place))

    @rule(place=places, happens=st.sampled_from(["fails", "ends", "is new", "starts", "flaps"]))
    def change_route(self, place: int, happens: str) -> None:
        new = {**route(place), "status": "provisioning"}
        self.append(
            {
                "fails": failed(place, "no GPU"),
                "ends": terminating(place),
                "is new": route_created(place, **new),
                "starts": started(place, labels=new["labels"]),
                "flaps": flapping(place, on=True),
            }[happens]
        )

    @rule(place=places, ratio=st.sampled_from([0.0, 0.25, 1.0, 7.0]))
    def weigh(self, place: int, ratio: float) -> None:
        self.append(weighted(ratio, place))

    @rule(status=st.sampled_from(["active", "inactive"]))
    def switch(self, status: TrafficStatus) -> None:
        self.append(switched(status, None))

    @rule(
        to=st.sampled_from(["v2", "v2", "v1", "v3"]),
        percents=percents,
        every_s=st.sampled_from([9.0, 9.0, 0.0]),
    )
    def roll(self, to: str, percents: list[float], every_s: float) -> None:
        steps = percents if every_s else percents[:1]
        try:
            self.decide(roll_out(self.state, to, steps, every_s=every_s))
        except (UnknownRevisionError, NothingToShareError):
            assert to == "v3" or min(steps) < 100 or not self.alive(to)
        else:
            assert self.state.split.get(to, 0.0) == steps[0]
            assert sum(self.state.split.values()) == pytest.approx(100)

    def alive(self, revision: str) -> bool:
        return any(
            one.revision == revision and one.status in {"provisioning", "running"}
            for one in self.state.present_routes
        )

    @rule()
    def back(self) -> None:
        to = self.state.rollout.to if self.state.rollout else None
        try:
            self.decide(go_back(self.state))
        except NoRolloutError:
            assert self.state.rollout is None or not self.state.rollout.back
        else:
            assert to not in self.state.split

    @rule()
    def end(self) -> None:
        self.decide(end_split(self.state))
        assert self.state.split == {}

    @precondition(lambda self: is_gradual(self.state))
    @rule(after_s=st.sampled_from([0, 1, 8, 10, 10, 20]))
    def look(self, after_s: int) -> None:
        self.now_ms += after_s * 1_000
        before = self.state
        assert before.rollout is not None
        to, was_under_way = before.rollout.to, is_under_way(before, self.now_ms)
        self.decide(due_step(before, self.now_ms, {}, GateSettings()))
        assert due_step(self.state, self.now_ms, {}, GateSettings()) == ()
        if not was_under_way:
            assert self.state is before
        elif before.rollout.back and not self.is_fit(to):
            assert to not in self.state.split
        elif self.state is not before and self.state.rollout is not None:
            assert self.state.split.get(to, 0.0) == before.rollout.percents[0]

    def is_fit(self, revision: str) -> bool:
        whole = replace(self.state, split={}, traffic_status="active")
        return any(one.revision == revision for one in routable(whole))

    @invariant()
    def traffic_is_divided_as_the_split_says(self) -> None:
        """Among the revisions that can take it; each has its part, and no other has any."""
        able = {one for one, share in self.state.split.items() if share and self.is_fit(one)}
        if not self.state.split or self.state.traffic_status == "inactive":
            return
        got: defaultdict[str, float] = defaultdict(float)
        for one in routable(self.state):
            got[one.revision] += one.traffic_ratio
        total = sum(self.state.split[one] for one in able)
        assert got == pytest.approx({one: 100 * self.state.split[one] / total for one in able})

    def teardown(self) -> None:
        """Any order and any number of deliveries lead to the same state."""
        random = Random(len(self.history))
        again = [*self.history, *self.history[::3]]
        random.shuffle(again)
        assert endpoint_of(again) == self.state


TestRollouts = RolloutMachine.TestCase
TestRollouts.settings = settings(max_examples=examples(100), stateful_step_count=40, deadline=None)
