"""Who shows health says how old it is, and calls it stale when nobody looks any more."""

import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from consumers.cli.doctor.check import check
from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.health.health import health
from consumers.monitoring.targets import ExposedChecker, known_checkers
from consumers.settings import Settings
from events import EventLog, RouteRecord
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.route import EndpointRouteListUpdatedEvent
from events.entry.codec import encode
from events.server.reply import reply
from events.server.server import now_of
from producers.checker.membership import MembershipSettings, join
from producers.checker.probe_report import ProbeReport
from producers.checker.probe_result import ProbeResult
from producers.endpoints.endpoint_service import EndpointService
from projections import open_reader
from projections.health_state import followed_ages
from projections.route_table.health_age import RouteKey
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined_log, found, not_well, projecting
from tests.consumers.support.exposition import asking
from tests.support.waiting import wait_until

ENDPOINT, FIRST, SECOND = UUID(int=1), UUID(int=2), UUID(int=3)
CHECK = HealthCheck(path="/health", interval=1.0)
QUICK = MembershipSettings(heartbeat_s=0.05)


class Probes:
    """Stands for a checker: how long ago it probed which routes."""

    def __init__(
        self, ages_s: dict[RouteKey, float], results: dict[RouteKey, ProbeResult] | None = None
    ) -> None:
        self.ages_s = ages_s
        self.results = results or {}

    def probe_ages_s(self) -> dict[RouteKey, float]:
        return self.ages_s

    def last_results(self) -> dict[RouteKey, ProbeResult]:
        return self.results


def route(route_id: UUID) -> RouteRecord:
    return RouteRecord(
        route_id=route_id, kernel_host="10.0.0.1", kernel_port=8_000, status="running"
    )


def healthy(route_id: UUID) -> Event:
    return ModelServiceStatusEvent(endpoint_id=ENDPOINT, route_id=route_id, new_status="healthy")


@pytest.fixture
async def served(log: EventLog) -> AsyncIterator[EventLog]:
    """A log with an endpoint whose two routes became healthy 200 s ago, and were not seen since."""
    began_ms = round((await now_of(log.server)).timestamp() * 1_000) - 200_000
    for number, event in enumerate(
        (
            EndpointCreatedEvent(endpoint_id=ENDPOINT, name="chat", model="m", health_check=CHECK),
            EndpointRouteListUpdatedEvent(
                endpoint_id=ENDPOINT, routes=(route(FIRST), route(SECOND))
            ),
            healthy(FIRST),
            healthy(SECOND),
        )
    ):
        pairs = [part for pair in encode(event, uuid4(), "test").items() for part in pair]
        entry_id = f"{began_ms}-{number}"
        await log.server.client.call("XADD", log.keys.events(0), entry_id, *pairs)
        await log.server.client.call("HSET", log.keys.heads(0), str(ENDPOINT), entry_id)
    async with projecting(log):
        yield log


async def report(
    log: EventLog, ages_s: dict[UUID, float], results: dict[UUID, ProbeResult] | None = None
) -> None:
    async with open_reader(log) as reader:
        probes = Probes(
            {(ENDPOINT, route_id): age_s for route_id, age_s in ages_s.items()},
            {(ENDPOINT, route_id): result for route_id, result in (results or {}).items()},
        )
        await ProbeReport(log, probes, reader, every_s=5.0).report()


@pytest.fixture
def run(served: EventLog, redis_url: str) -> Commands:
    return Commands(redis_url, served.keys.namespace)


async def test_commands_show_how_old_health_is_and_call_it_stale(
    served: EventLog, run: Commands
) -> None:
    await report(served, {FIRST: 5.0, SECOND: 130.0})
    shown = json.loads((await run(endpoints, "show", "chat", "-o", "json")).stdout)
    assert [one["health_stale"] for one in shown["routes"]] == [False, True]
    assert all(one["health_checked_at"] for one in shown["routes"])
    table = await run(endpoints, "show", "chat")
    assert "healthy, stale" in table.stdout
    assert "health is stale: nobody has looked at 1 route for up to 2m 1" in table.stdout
    assert "2 healthy, 1 stale" in (await run(endpoints, "ls")).stdout
    assert "2/2 healthy, 1 stale" in (await run(health, "ls")).stdout
    rows = json.loads((await run(health, "show", "chat", "-o", "json")).stdout)["routes"]
    assert sorted(one["stale"] for one in rows) == [False, True]
    past = json.loads((await run(endpoints, "show", "chat", "--as-of", "end", "-o", "json")).stdout)
    assert {one["health_stale"] for one in past["routes"]} == {None}


async def test_commands_show_how_the_last_probes_ended(served: EventLog, run: Commands) -> None:
    refused = ProbeResult(False, "connection refused", "refused", 0.00123)  # noqa: FBT003 - how it ended
    well = ProbeResult(success=True, duration_s=0.25)
    await report(served, {FIRST: 5.0, SECOND: 5.0}, {FIRST: well, SECOND: refused})
    shown = json.loads((await run(endpoints, "show", "chat", "-o", "json")).stdout)
    kept = [
        {"duration_ms": 250.0, "cause": None, "reason": None},
        {"duration_ms": 1.23, "cause": "refused", "reason": "connection refused"},
    ]
    assert [one["last_probe"] for one in shown["routes"]] == kept
    rows = json.loads((await run(health, "show", "chat", "-o", "json")).stdout)["routes"]
    assert sorted((one["last_probe"] for one in rows), key=lambda one: one["cause"] or "") == kept
    for command in (endpoints, health):
        table = " ".join((await run(command, "show", "chat")).stdout.split())
        assert "refused in 1.23 ms: connection refused" in table
        assert "ok in 250 ms" in table
    await report(served, {FIRST: 5.0, SECOND: 5.0}, {FIRST: well, SECOND: well})
    for command in (endpoints, health):
        assert "PROBE" not in (await run(command, "show", "chat")).stdout


async def test_results_of_probes_expire_and_those_of_routes_that_are_gone_are_dropped(
    served: EventLog,
) -> None:
    well, gone, key = ProbeResult(success=True), UUID(int=9), served.keys.probe_results(0)
    call = served.server.client.call
    await report(served, {FIRST: 5.0, gone: 130.0}, {FIRST: well, gone: well})
    assert await call("HKEYS", key) == [f"{ENDPOINT}:{FIRST}".encode()]
    assert 500_000 < reply(await call("PTTL", key), int) <= 600_000


async def test_a_damaged_result_of_a_probe_is_left_out(served: EventLog, run: Commands) -> None:
    await report(served, {FIRST: 5.0}, {FIRST: ProbeResult(success=True)})
    member = f"{ENDPOINT}:{FIRST}"
    await served.server.client.call("HSET", served.keys.probe_results(0), member, b"\xff{")
    shown = await run(endpoints, "show", "chat", "-o", "json")
    assert shown.exit_code == 0
    assert [one["last_probe"] for one in json.loads(shown.stdout)["routes"]] == [None, None]


async def test_doctor_and_check_warn_of_stale_health_until_somebody_looks(
    served: EventLog, run: Commands
) -> None:
    stale = found(await examined_log(served), "health of routes")
    assert (stale.severity, stale.figure[:24]) == ("warning", "2 of 2 routes compared, ")
    assert str(ENDPOINT) in stale.what
    warned = await run(check)
    assert (warned.exit_code, "it is stale" in warned.stdout) == (1, True)
    await report(served, {FIRST: 1.0, SECOND: 1.0})
    assert "health of routes" not in not_well(await examined_log(served))
    await served.server.client.call("DEL", served.keys.heads(0))
    await report(served, {SECOND: 121.0})
    assert "health of routes" in not_well(await examined_log(served))


async def test_a_checker_that_dies_is_missed_and_the_last_one_is_critical(
    served: EventLog, run: Commands
) -> None:
    await report(served, {FIRST: 1.0, SECOND: 1.0})
    assert not [one for one in await examined_log(served) if one.about == "health checkers"]
    keys, call = served.keys, served.server.client.call
    async with join(served.server, keys, "first", QUICK):
        assert found(await examined_log(served), "health checkers").severity == "ok"
        dead_ms = round((await now_of(served.server)).timestamp() * 1_000) - 14_000
        await call("ZADD", keys.checkers, dead_ms, "killed")
        fewer = found(await examined_log(served), "health checkers")
        assert (fewer.severity, fewer.figure[:6]) == ("warning", "1 of 2")
    none = found(await examined_log(served), "health checkers")
    assert (none.severity, none.figure[:6]) == ("error", "0 of 1")
    told = await run(check)
    assert (told.exit_code, told.stdout[:8]) == (2, "CRITICAL")
    known = await known_checkers(served, Settings().membership.lifetime_s)
    assert known is not None
    assert (known.living, known.dead) == ([], ["killed"])


async def test_a_reader_and_the_metrics_tell_the_age_of_health(served: EventLog) -> None:
    await report(served, {FIRST: 5.0, SECOND: 130.0})
    async with (
        open_reader(served) as reader,
        join(served.server, served.keys, "first", QUICK) as membership,
        asking(exposed := ExposedChecker(served)) as asked,
    ):
        await wait_until(
            lambda: reader.health_age(ENDPOINT, FIRST) is not None, "the ages are read"
        )
        first, second = (reader.health_age(ENDPOINT, one) for one in (FIRST, SECOND))
        assert first is not None
        assert second is not None
        assert (first.is_stale, second.is_stale) == (False, True)
        assert reader.health_age(ENDPOINT, uuid4()) is None
        assert [one.route_id for one in reader.routable(ENDPOINT)] == [FIRST, SECOND]
        exposed.membership, exposed.reader = membership, reader
        samples = await asked.samples()
        assert samples["health_stale_routes"] == 1
        assert 130 <= samples["health_age_seconds"] < 200


async def test_a_reader_asks_for_ages_of_health_only_when_somebody_asks_it(
    served: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_ages, "READ_EVERY_S", 0.05)
    await report(served, {FIRST: 5.0})
    client = served.server.client

    async def commands(name: str) -> int:
        about = await client.execute_command("INFO", "commandstats")
        return int(about.get(f"cmdstat_{name}", {"calls": 0})["calls"])

    async with open_reader(served) as reader:
        asked, times = await commands("zmscore"), await commands("time")

        async def has_read() -> bool:
            return await commands("time") > times + 5

        await wait_until(has_read, "it has read some times")
        assert await commands("zmscore") == asked
        assert reader.health_age(ENDPOINT, FIRST) is None
        await wait_until(lambda: reader.health_age(ENDPOINT, FIRST) is not None, "the age is read")
        assert await commands("zmscore") > asked


WITHDRAWN = HealthCheck(path="/health", interval=1.0, on_stale="unhealthy")


async def test_stale_health_takes_a_route_out_where_the_operator_wants_it(
    served: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_ages, "READ_EVERY_S", 0.05)
    await EndpointService(served).update_health_check(ENDPOINT, WITHDRAWN)
    await report(served, {FIRST: 5.0, SECOND: 130.0})
    async with open_reader(served) as reader:
        noted: list[UUID] = []
        reader.listen(lambda endpoints: noted.extend(endpoints or ()))

        def routable() -> list[UUID]:
            return [one.route_id for one in reader.routable(ENDPOINT)]

        await wait_until(lambda: routable() == [FIRST], "the stale route is out")
        rows = json.loads((await run(endpoints, "show", "chat", "-o", "json")).stdout)["routes"]
        assert [one["why_not"] for one in rows] == [None, "health is stale"]
        assert "no: health is stale" in (await run(endpoints, "show", "chat")).stdout
        noted.clear()
        await report(served, {SECOND: 1.0})
        await wait_until(lambda: routable() == [FIRST, SECOND], "somebody looked again")
        assert noted == [ENDPOINT]  # so publishers write it anew


async def test_the_times_of_routes_that_are_gone_are_forgotten(served: EventLog) -> None:
    gone = UUID(int=9)
    await report(served, {FIRST: 130.0, gone: 130.0})
    held = await served.server.client.call("ZRANGE", served.keys.probed(0), 0, -1)
    assert held == [f"{ENDPOINT}:{FIRST}".encode()]
