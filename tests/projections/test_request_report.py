"""What a proxy reports of its requests: counted in its memory, kept for a while beside the log."""

from uuid import UUID, uuid4

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from events import EventLog, open_log
from events.log.keys import Keys
from events.server.reply import reply, reply_entries
from projections.read_model.reader import RouteTableReader, open_reader
from projections.requests import request_report
from projections.requests.request_counts import (
    KEPT_S,
    NONE_REPORTED,
    RequestCounts,
    counts_of,
    read_request_counts,
)
from projections.requests.request_report import in_turns
from projections.route_table.health_age import RouteKey
from projections.route_table.route import Route
from tests.support.histories import ROUTES, E, endpoint_of, history, listed, observed, record
from tests.support.log_lines import captured_lines
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until

FIRST: RouteKey = (E, ROUTES[0])
SECOND: RouteKey = (E, ROUTES[1])
RUNNING = [
    record(number, status="running", kernel_host="10.0.0.1", kernel_port=80 + number)
    for number in (0, 1)
]


@pytest.fixture
async def table(log: EventLog) -> WrittenTable:
    made = WrittenTable(log)
    events = history(listed(*RUNNING), observed("healthy", 0), observed("healthy", 1))
    await made.begin(endpoint_of(events))
    return made


def route_of(reader: RouteTableReader, number: int = 0) -> Route:
    endpoint = reader.endpoint(E)
    assert endpoint is not None
    return endpoint.routes[ROUTES[number]]


async def counted(log: EventLog, route: RouteKey = FIRST) -> tuple[int, int]:
    found = (await read_request_counts(log, [route], 60))[route]
    return found.successes, found.failures


async def until_counted(
    log: EventLog, successes: int, failures: int, route: RouteKey = FIRST
) -> None:
    async def is_counted() -> bool:
        return await counted(log, route) == (successes, failures)

    await wait_until(is_counted, f"{successes} successes and {failures} failures are counted")


@pytest.mark.usefixtures("table")
async def test_results_of_requests_are_counted_route_by_route(log: EventLog) -> None:
    async with open_reader(log) as reader, open_reader(log) as another:
        for _ in range(3):
            reader.report(route_of(reader), ok=True)
        reader.report(route_of(reader), ok=False)
        another.report(route_of(another), ok=False)
        another.report(route_of(another, 1), ok=True)
        another.report(route_of(another, 1), ok=False)
        await until_counted(log, 3, 2)
        await until_counted(log, 1, 1, SECOND)
        found = (await read_request_counts(log, [FIRST], 60))[FIRST]
    now_ms = (await log.server.client.call("TIME"))[0] * 1_000  # type: ignore[index]
    assert abs(found.succeeded_ms - now_ms) < 30_000
    assert abs(found.failed_ms - now_ms) < 30_000


@pytest.mark.usefixtures("table")
async def test_what_a_least_loaded_block_raises_is_a_failure_of_its_route(log: EventLog) -> None:
    async with open_reader(log) as reader:
        with pytest.raises(ConnectionError), reader.least_loaded(E) as chosen:
            raise ConnectionError
        with anyio.CancelScope() as scope, reader.least_loaded(E):
            scope.cancel()  # its client went away: that says nothing of the route
            await anyio.lowlevel.checkpoint()
        assert chosen is not None
        await until_counted(log, 0, 1, (E, chosen.route_id))
        assert sum([await counted(log, FIRST), await counted(log, SECOND)], ()).count(1) == 1


@pytest.mark.usefixtures("table")
async def test_a_route_that_no_endpoint_has_is_not_reported(log: EventLog) -> None:
    stranger = Route(
        **{name: getattr(record(0), name) for name in ("app", "protocol", "traffic_ratio")},
        route_id=uuid4(),
        session_id=None,
        kernel_host=None,
        kernel_port=None,
        status="running",
        health="healthy",
    )
    async with open_reader(log) as reader:
        reader.report(stranger, ok=False)
        reader.report(route_of(reader), ok=False)
        await until_counted(log, 0, 1)
    assert await log.server.client.call("HLEN", log.keys.requests(0)) == 1


@pytest.mark.usefixtures("table")
async def test_what_was_reported_expires(log: EventLog) -> None:
    async with open_reader(log) as reader:
        reader.report(route_of(reader), ok=False)
        await until_counted(log, 0, 1)
    for key in (log.keys.requests(0), log.keys.failed_requests(0)):
        left_ms = await log.server.client.call("PTTL", key)
        assert isinstance(left_ms, int)
        assert KEPT_S * 1_000 - 60_000 < left_ms <= KEPT_S * 1_000


async def run_script(
    log: EventLog, *words: str | int, stored: int = 100, entries: int = 10
) -> object:
    script = log.server.client.script("projections.requests", "report_requests")
    keys = [log.keys.requests(0), log.keys.failed_requests(0)]
    return await script(keys, [10_000, 30, stored, entries, *words])


async def test_a_full_hash_takes_no_route_more_and_goes_on_counting_those_it_has(
    log: EventLog,
) -> None:
    assert await run_script(log, "a", 1, 0, "b", 1, 0, stored=2) == 0
    assert await run_script(log, "c", 1, 0, "a", 1, 0, stored=2) == 1
    held = reply(await log.server.client.call("HGETALL", log.keys.requests(0)), dict[bytes, bytes])
    assert {name: field.split(b":")[-2] for name, field in held.items()} == {b"a": b"2", b"b": b"1"}


async def test_the_stream_of_failures_keeps_the_newest_entries_alone(log: EventLog) -> None:
    for number in range(5):
        await run_script(log, f"route-{number}", 0, 1, entries=3)
    await run_script(log, "well", 9, 0, entries=3)
    raw = await log.server.client.call("XRANGE", log.keys.failed_requests(0), "-", "+")
    assert [flat[0] for _, flat in reply_entries(raw)] == [b"route-2", b"route-3", b"route-4"]


async def test_a_suspected_route_is_told_and_not_counted(log: EventLog) -> None:
    assert await run_script(log, "suspected", 0, 0, "well", 1, 0, stored=1) == 0
    raw = await log.server.client.call("XRANGE", log.keys.failed_requests(0), "-", "+")
    assert [flat for _, flat in reply_entries(raw)] == [[b"suspected", b"0"]]
    assert await log.server.client.call("HKEYS", log.keys.requests(0)) == [b"well"]


async def test_routes_without_requests_for_long_make_room(log: EventLog) -> None:
    old = [word for number in range(5) for word in (f"old-{number}", "1 1 0:1:1")]
    await log.server.client.call("HSET", log.keys.requests(0), *old)
    assert await run_script(log, "a", 1, 0, stored=5) == 1  # it was full when this one came
    assert await run_script(log, "a", 1, 0, stored=5) == 0
    assert await log.server.client.call("HKEYS", log.keys.requests(0)) == [b"a"]


@pytest.mark.parametrize("damaged", ["", "x", "1", "-1 2 3:4:5", "9" * 40 + " 1", "1 2 3:4"])
async def test_a_damaged_count_is_begun_anew(log: EventLog, damaged: str) -> None:
    await log.server.client.call("HSET", log.keys.requests(0), "a", damaged, "b", damaged)
    assert await run_script(log, "a", 2, 1) == 0
    field = reply(await log.server.client.call("HGET", log.keys.requests(0), "a"), bytes)
    found = counts_of(field, 0)
    assert (found.successes, found.failures) == (2, 1)


@pytest.mark.parametrize("field", [None, b"", b"x", b"1 2 3:4", b"1 2" + b" 3:4:5" * 101, b"\xff"])
def test_a_field_that_is_no_count_counts_nothing(field: bytes | None) -> None:
    assert counts_of(field, 0) == NONE_REPORTED


def test_only_slices_within_the_time_count() -> None:
    field = b"40000 30000 1:100:10 3:20:2 4:3:1"  # from 10 s, 30 s and 40 s on
    assert counts_of(field, 0) == RequestCounts(123, 13, 40_000, 30_000)
    assert counts_of(field, 30_000) == RequestCounts(23, 3, 40_000, 30_000)
    assert counts_of(field, 39_999) == RequestCounts(23, 3, 40_000, 30_000)
    assert counts_of(field, 40_000) == RequestCounts(3, 1, 40_000, 30_000)
    assert counts_of(field, 50_000) == RequestCounts(0, 0, 40_000, 30_000)


def test_one_failing_route_comes_early_beside_an_endpoint_with_a_thousand() -> None:
    many = [((UUID(int=1), UUID(int=number)), [0, 1]) for number in range(1_000)]
    well = [((UUID(int=3), UUID(int=number)), [1, 0]) for number in range(10)]
    one = ((UUID(int=2), UUID(int=7)), [0, 1])
    ordered = in_turns([*well, *many, one])
    assert ordered.index(one) == 1
    assert ordered[-10:] == well
    assert len(ordered) == 1_011


async def refusals_of(log: EventLog, account: str) -> float:
    """Return how often *account* was refused a script."""
    logged = await (await log.server.at("")).acl_log()
    refused = [one for one in logged if one["username"] == account and one["object"] == "evalsha"]
    return sum(float(str(one["count"])) for one in refused)


async def test_an_account_that_may_not_write_is_told_once_and_reads_on(
    log: EventLog,
    table: WrittenTable,
    shared_server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_report, "REFUSED_S", 0.01)
    reading = f"eyes-{log.keys.namespace}"
    rules = ("reset", "on", ">secret", "~*", "+@all", "-@write", "-evalsha")
    await log.server.client.call("ACL SETUSER", reading, *rules)
    url = f"redis://{reading}:secret@127.0.0.1:{shared_server.port}"
    with captured_lines() as lines:
        async with open_log(url, namespace=log.keys.namespace) as eyes, open_reader(eyes) as reader:

            async def is_refused_again() -> bool:
                reader.report(route_of(reader), ok=False)
                return await refusals_of(log, reading) > 2

            await wait_until(is_refused_again, "reports are refused again and again")
            await table.begin(endpoint_of(history(listed(RUNNING[0]), observed("healthy"))))
            await wait_until(lambda: len(reader.routable(E)) == 1, "the reader follows")
    await log.server.client.call("ACL DELUSER", reading)
    told = [line["error"] for line in lines if line["event"] == "requests_not_reported"]
    assert len(told) == 1
    assert "permission" in told[0]


async def test_reports_never_wait_while_redis_is_away_and_are_sent_again_after_it(
    own_server: EmbeddedServer,
) -> None:
    async with open_log(own_server.url, namespace="away") as log:
        await WrittenTable(log).begin(endpoint_of(history(listed(*RUNNING), observed("healthy"))))
        async with open_reader(log) as reader:
            route = route_of(reader)
            own_server.kill()
            with captured_lines() as lines:

                def is_told() -> bool:
                    reader.report(route, ok=False)
                    return "requests_not_reported" in [line["event"] for line in lines]

                await wait_until(is_told, "the failure to report is told")
            own_server.start()

            async def is_counted() -> bool:
                reader.report(route, ok=False)
                return (await counted(log))[1] > 0

            await wait_until(is_counted, "reports arrive again")


def test_the_keys_of_a_partition_lie_in_its_slot() -> None:
    keys = Keys("ns")
    assert {keys.requests(3), keys.failed_requests(3)} == {
        "{ns:3}:requests",
        "{ns:3}:failed-requests",
    }
