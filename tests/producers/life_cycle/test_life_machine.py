"""Random sessions, routes, health and rollouts in any order lead to what a naive model says.

The model knows phases only, and what each happening does to one; it shares no table with the code.
"""

import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events import EventLog, HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.catalogue.route import RouteRecord
from events.entry.recorded import fold
from producers.endpoints import decisions
from producers.endpoints.decisions import Decision
from producers.endpoints.endpoint_service import EndpointService
from producers.errors import NothingToShareError, ProducersError, UnknownRevisionError
from producers.life_cycle import route_end
from producers.life_cycle.deadlines import due
from producers.life_cycle.session_effects import SessionChange, SessionStatus, session_changed
from producers.life_cycle.settings import LifeCycleSettings
from producers.rollout.rollout_decisions import end_split, roll_out
from projections.route_table.endpoint import Endpoint
from projections.route_table.lookup import live_endpoints
from projections.route_table.phase import counts_as_healthy, endpoint_phase, phase_of
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.routing import routable
from tests.support.histories import (
    ROUTES,
    SESSIONS,
    E,
    at,
    created,
    deliveries_of,
    record,
    recorded,
)
from tests.support.laws import examples
from tests.support.projectors import POLITE, member
from tests.support.running_consumer import consuming, until_settled

NUMBERS = st.integers(0, 1)
REVISIONS = ("v1", "v2")
"""Of the two routes."""

PERCENTS = (0.0, 5.0, 50.0, 100.0)
AT_ONCE = LifeCycleSettings(
    provisioning_s=0, warming_up_s=0, draining_s=0, terminating_s=0, evict_after_s=0
)
ENDED = {"draining", "terminating", "failed_to_start"}
LATER_MS = 2**53


class RouteLife(RuleBasedStateMachine):
    """Two routes of one endpoint, each in a session of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.history = [recorded(created(health_check=HealthCheck(path="/")), at(1))]
        self.endpoint: Endpoint = fold(ROUTE_TABLE.evolve, ROUTE_TABLE.initial(E), self.history)
        self.phases: dict[int, str] = {}
        self.healthy: set[int] = set()
        self.retries = 0
        self.shares: dict[int, float] = {}

    def record(self, decision: Decision) -> None:
        for event in decision:
            one = recorded(event, at(len(self.history) + 1))
            self.history.append(one)
            self.endpoint = ROUTE_TABLE.evolve(self.endpoint, one)

    def session(self, number: int, status: SessionStatus, **fields: Any) -> None:  # noqa: ANN401
        change = SessionChange(status=status, **fields)
        self.record(session_changed(self.endpoint, SESSIONS[number], change))

    def fails(self, number: int) -> None:
        self.retries += self.phases[number] in {"provisioning", "warming_up"}
        self.phases[number] = "failed_to_start"
        self.retries = min(self.retries, 32)

    @rule(number=NUMBERS)
    def create(self, number: int) -> None:
        if number not in self.phases:
            given = replica(number)
            self.record(decisions.create_route(self.endpoint, given))
            self.phases[number] = "provisioning"
            self.healthy.discard(number)

    @rule(number=NUMBERS, port=st.integers(1, 2))
    def session_runs(self, number: int, port: int) -> None:
        route = self.endpoint.routes.get(ROUTES[number])
        is_new = route is None or route.kernel_port != port
        self.session(number, "running", address=("10.0.0.1", port))
        before = self.phases.get(number)
        if before == "provisioning" or (before in {"warming_up", "running"} and is_new):
            self.phases[number] = "warming_up"
            self.healthy.discard(number)

    @rule(number=NUMBERS)
    def session_terminates(self, number: int) -> None:
        self.session(number, "terminating")
        if number in self.phases and self.phases[number] not in ENDED:
            self.phases[number] = "draining"

    @rule(number=NUMBERS)
    def session_is_gone(self, number: int) -> None:
        self.session(number, "terminated")
        self.phases.pop(number, None)

    @rule(number=NUMBERS)
    def session_is_cancelled(self, number: int) -> None:
        self.session(number, "cancelled", errors=("no GPU",))
        if self.phases.get(number) in {"draining", "terminating"}:
            del self.phases[number]
        elif number in self.phases and self.phases[number] != "failed_to_start":
            self.fails(number)

    @rule(number=NUMBERS, is_healthy=st.booleans())
    def health_is_found(self, number: int, is_healthy: bool) -> None:  # noqa: FBT001 - drawn
        if number not in self.phases:
            return
        status: ModelServiceStatus = "healthy" if is_healthy else "unhealthy"
        now = datetime(2026, 1, 1, tzinfo=UTC)
        self.record(decisions.record_status(self.endpoint, ROUTES[number], status, observed_at=now))
        (self.healthy.add if is_healthy else self.healthy.discard)(number)
        if self.phases[number] == "warming_up":
            self.phases[number] = "running"

    @precondition(lambda self: self.phases)
    @rule()
    def every_deadline_passes(self) -> None:
        self.record(due(self.endpoint, LATER_MS, AT_ONCE))
        serving = sum(self.phases[n] == "running" and n in self.healthy for n in self.phases)
        live = sum(phase not in ENDED for phase in self.phases.values())
        is_reset = bool(self.retries and serving and serving >= live)
        for number, phase in list(self.phases.items()):
            if phase in {"provisioning", "warming_up"}:
                self.fails(number)
            elif phase == "draining":
                self.phases[number] = "terminating"
            elif phase == "terminating":
                del self.phases[number]
        if is_reset:
            self.retries = 0

    @rule(number=NUMBERS)
    def the_drain_ends(self, number: int) -> None:
        if number in self.phases:
            self.record(route_end.end_drain(self.endpoint, ROUTES[number], "idle"))
            if self.phases[number] == "draining":
                self.phases[number] = "terminating"

    @rule(number=NUMBERS, percent=st.sampled_from(PERCENTS))
    def traffic_is_rolled_out(self, number: int, percent: float) -> None:
        is_alive = [self.phases.get(n, "draining") not in ENDED for n in (number, 1 - number)]
        may_take = is_alive[1] and self.shares.get(1 - number, 100.0) > 0
        try:
            self.record(roll_out(self.endpoint, REVISIONS[number], [percent], every_s=0))
        except UnknownRevisionError:
            assert not is_alive[0]
        except NothingToShareError:
            assert percent < 100
            assert not may_take
        else:
            assert is_alive[0]
            self.shares = {number: percent, 1 - number: 100 - percent}

    @rule()
    def the_split_ends(self) -> None:
        self.record(end_split(self.endpoint))
        self.shares = {}

    @invariant()
    def phases_are_as_the_model_says(self) -> None:
        found = {one.route_id: phase_of(self.endpoint, one) for one in self.endpoint.present_routes}
        assert found == {ROUTES[number]: phase for number, phase in self.phases.items()}
        assert len(self.endpoint.failures) == self.retries

    @invariant()
    def the_split_is_as_the_model_says(self) -> None:
        named = {REVISIONS[n]: share for n, share in self.shares.items() if share}
        assert self.endpoint.split == pytest.approx(named)

    @invariant()
    def only_healthy_running_routes_get_traffic(self) -> None:
        serving = {n for n, phase in self.phases.items() if phase == "running"} & self.healthy
        serving = {n for n in serving if self.shares.get(n, 100.0 * (not self.shares))}
        weights = {one.route_id: one.traffic_ratio for one in routable(self.endpoint)}
        assert weights.keys() == {ROUTES[n] for n in serving}
        if self.shares and len(serving) == 2:
            parts = [weights[ROUTES[n]] * self.shares[1 - n] for n in (0, 1)]
            assert parts[0] == pytest.approx(parts[1])
        for route in self.endpoint.present_routes:
            number = ROUTES.index(route.route_id)
            assert counts_as_healthy(self.endpoint, route) == (number in self.healthy)

    @rule(data=st.data())
    def any_order_of_delivery_leads_to_the_same(self, data: st.DataObject) -> None:
        deliveries = data.draw(deliveries_of(self.history))
        assert fold(ROUTE_TABLE.evolve, ROUTE_TABLE.initial(E), deliveries) == self.endpoint
        assert endpoint_phase(self.endpoint) in {"pending", "scaling", "ready", "degraded"}


def replica(number: int) -> RouteRecord:
    return record(number, session_id=SESSIONS[number], labels={"revision": REVISIONS[number]})


RouteLife.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=30, deadline=None
)
test_random_lives_lead_to_what_the_model_says = RouteLife.TestCase


@pytest.mark.parametrize("seed", range(3))
async def test_random_lives_on_a_server_lead_to_the_same_documents(
    log: EventLog, seed: int
) -> None:
    drawn = random.Random(seed)
    service = EndpointService(log)
    await service.create(created(health_check=HealthCheck(path="/")))
    async with consuming(member(log, ROUTE_TABLE, "projector", POLITE)):
        for _ in range(300):
            await _happen(service, drawn, drawn.randrange(2))
        await until_settled(log, ROUTE_TABLE.name)
    events = [one async for one in log.read()]
    folded = fold(ROUTE_TABLE.evolve, ROUTE_TABLE.initial(E), reversed(events))
    [document] = [endpoint async for _, endpoint in live_endpoints(log)]
    assert document == folded == await service.read(E)
    assert {event.event.wire_name for event in events} > {
        "route_started",
        "route_terminated",
        "traffic_split_updated",
    }


async def _happen(service: EndpointService, drawn: random.Random, number: int) -> None:
    """Let something happen to a route, or to its session; what cannot be is refused."""
    given = replica(number)
    split = (REVISIONS[number], [drawn.choice(PERCENTS)])
    status: SessionStatus = drawn.choice(
        ("running", "running", "running", "terminating", "terminated", "cancelled")
    )
    change = SessionChange(status=status, address=("10.0.0.1", drawn.randint(1, 2)))
    happenings = (
        lambda: service.create_route(E, given),
        lambda: service.record_session(E, SESSIONS[number], change),
        lambda: service.record_status(E, ROUTES[number], drawn.choice(("healthy", "unhealthy"))),
        lambda: service.end_drain(E, ROUTES[number]),
        lambda: service.record(E, lambda endpoint: due(endpoint, LATER_MS, AT_ONCE)),
        lambda: service.record(E, lambda endpoint: roll_out(endpoint, *split, every_s=0)),
    )
    with suppress(ProducersError):
        await drawn.choices(happenings, (6, 6, 4, 1, 1, 4))[0]()
