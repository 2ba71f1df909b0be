"""What a scrape tells after a known run: exact counts, from real consumers on a real server."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from consumers.errors import UnprocessableError
from consumers.monitoring import targets as exposed_module
from consumers.monitoring.http import exposition
from consumers.monitoring.metrics import METRICS
from consumers.monitoring.settings import PORTS_TRIED, MetricsSettings
from consumers.monitoring.targets import ExposedSupervisor
from consumers.processes.embedded import EmbeddedServer
from consumers.processes.supervisor import Supervisor
from consumers.runtime.progress import Distribution
from consumers.runtime.projector import Projector
from docs.pages.metrics_page import metrics_page
from events import EventLog, open_log
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.exposition import Asked, asking, exposed_of
from tests.support.log_lines import captured_lines
from tests.support.read_model import live_documents
from tests.support.running_consumer import (
    GROUP,
    UNCLAIMED,
    Handling,
    add_raw,
    consumer_of,
    consuming,
    create_group,
    created,
    deliver,
    documents,
    dying,
    fill,
    make_idle,
    until_dead,
    until_settled,
)
from tests.support.servers import asking as client_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("look_always")

OF_GROUP = f"{GROUP} 0"


async def test_after_a_known_run_every_count_is_exact(log: EventLog) -> None:
    entries = (await log.append(*(created() for _ in range(10)))).entry_ids
    handling = Handling()
    handling.failures[entries[1]] = UnprocessableError("never")
    handling.failures[entries[4]] = UnprocessableError("never")
    handling.failures[entries[7]] = RuntimeError("not now")
    await add_raw(log, b"name", b"told_by_others", b"payload", b"{}")
    consumer = consumer_of(log, handling)
    async with asking(exposed_of(log, [consumer])) as asked, consuming(consumer):
        await until_dead(log, 3)
        await until_settled(log)
        await told_entries(asked, "batch_size_entries_sum", 13)
        samples = await asked.samples()

    assert {name: samples[f"{name} {OF_GROUP}"] for name in ENTRIES} == {
        "entries_handled_total": 7,
        "entries_skipped_total": 1,
        "entries_failed_total": 2 + 3,
        "entries_retried_total": 2,
        "entries_dead_total": 3,
        "entries_claimed_total": 0,
        "entries_lost_total": 0,
        "revision_conflicts_total": 0,
        "lag_entries": 0,
        "pending_entries": 0,
        "oldest_pending_age_seconds": 0,
        "consumer_connected": 1,
    }
    assert samples["server_up"] == 1
    assert samples[f"batch_size_entries_sum {OF_GROUP}"] == 11 + 2
    assert samples[f"batch_size_entries_count {OF_GROUP}"] == 1 + 2


ENTRIES = (
    "entries_handled_total",
    "entries_skipped_total",
    "entries_failed_total",
    "entries_retried_total",
    "entries_dead_total",
    "entries_claimed_total",
    "entries_lost_total",
    "revision_conflicts_total",
    "lag_entries",
    "pending_entries",
    "oldest_pending_age_seconds",
    "consumer_connected",
)


async def told_entries(asked: Asked, name: str, wanted: float, of: str = OF_GROUP) -> None:
    async def there() -> bool:
        return (await asked.samples()).get(f"{name} {of}") == wanted

    await wait_until(there, f"{name} is {wanted}")


async def test_what_was_idle_with_another_consumer_is_counted_as_claimed(log: EventLog) -> None:
    await create_group(log)
    await log.append(*(created() for _ in range(6)))
    delivered = await deliver(log, "gone", 4)
    await make_idle(log, "gone", delivered)
    consumer = consumer_of(log, Handling())
    async with asking(exposed_of(log, [consumer])) as asked, consuming(consumer):
        await told_entries(asked, "entries_handled_total", 6)
        samples = await asked.samples()
    assert samples[f"entries_claimed_total {OF_GROUP}"] == 4
    assert samples[f"entries_failed_total {OF_GROUP}"] == 0


async def test_lag_pending_and_the_oldest_ones_age_are_read_from_the_server(log: EventLog) -> None:
    await create_group(log)
    await add_at(log, 1_000)
    await add_at(log, 2_000)
    await log.append(*(created() for _ in range(5)))
    await deliver(log, "another", 3)
    consumer = consumer_of(log, Handling())
    async with asking(exposed_of(log, [consumer])) as asked:
        samples = await asked.samples()
    assert samples[f"pending_entries {OF_GROUP}"] == 3
    assert samples[f"lag_entries {OF_GROUP}"] == 4
    [seconds, _] = await log.server.client.execute_command("TIME")
    assert samples[f"oldest_pending_age_seconds {OF_GROUP}"] == pytest.approx(seconds - 1, abs=10)


async def add_at(log: EventLog, ms: int) -> None:
    await log.server.client.call(
        "XADD", log.keys.events(0), f"{ms}-1", "name", "x", "payload", "{}"
    )


async def test_after_a_trim_the_lag_is_exact_as_far_as_it_is_counted(log: EventLog) -> None:
    await create_group(log)
    await log.append(*(created() for _ in range(20)))
    await deliver(log, "another", 10)
    await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", "12")
    await log.server.client.call("HSET", log.keys.lost(0), GROUP, 7)
    consumer = consumer_of(log, Handling())
    async with asking(exposed_of(log, [consumer])) as asked:
        samples = await asked.samples()
        assert samples[f"lag_entries {OF_GROUP}"] == 10
        assert samples[f"entries_lost_total {OF_GROUP}"] == 7
        await log.append(*(created() for _ in range(200)))
        samples = await asked.samples()
    assert samples[f"lag_entries {OF_GROUP}"] == 210


async def test_a_document_that_another_projector_wrote_first_is_a_conflict(log: EventLog) -> None:
    [endpoint] = await fill(log, 1)
    projector = Projector(log, ROUTE_TABLE, 0, UNCLAIMED.policy)
    consumer = consumer_of(log, projector, group=ROUTE_TABLE.name, settings=UNCLAIMED)
    of = f"{ROUTE_TABLE.name} 0"
    async with asking(exposed_of(log, [consumer])) as asked, consuming(consumer):
        await until_settled(log, ROUTE_TABLE.name)
        await log.append(created(endpoint))
        await until_settled(log, ROUTE_TABLE.name)
        key = await live_documents(log, ROUTE_TABLE.name)
        [(revision, state)] = (await documents(log, ROUTE_TABLE)).values()
        document = ROUTE_TABLE.encode(state, revision + 5)
        await log.server.client.call("HSET", key, str(endpoint), document)
        await log.append(created(endpoint))
        await told_entries(asked, "revision_conflicts_total", 1, of)
        await until_settled(log, ROUTE_TABLE.name)
        await told_entries(asked, "entries_handled_total", 2, of)
        samples = await asked.samples()
    assert samples[f"apply_time_seconds_count {of}"] >= 3
    assert samples[f"entries_retried_total {of}"] == 0


async def be_killed(server: EmbeddedServer) -> None:
    server.kill()


async def let_nobody_in(server: EmbeddedServer) -> None:
    async with client_of(server) as client:
        await client.call("ACL", "DELUSER", "app")


@pytest.mark.parametrize("end", [be_killed, let_nobody_in])
async def test_while_the_server_is_away_its_numbers_are_left_out_and_the_counts_stay(
    own_server: EmbeddedServer, namespace: str, end: Callable[[EmbeddedServer], Awaitable[None]]
) -> None:
    async with client_of(own_server) as client:
        await client.call("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
    url = own_server.url.replace("redis://", "redis://app:secret@")
    async with open_log(url, namespace=namespace) as log:
        await log.append(created())
        consumer = consumer_of(log, Handling())
        async with asking(exposed_of(log, [consumer])) as asked, dying(consumer):
            await told_entries(asked, "entries_handled_total", 1)
            await end(own_server)

            async def is_down() -> bool:
                return (await asked.samples())["server_up"] == 0

            await wait_until(is_down, "the server is seen to be away")
            samples = await asked.samples()
    assert samples[f"entries_handled_total {OF_GROUP}"] == 1
    assert f"lag_entries {OF_GROUP}" not in samples


async def test_however_often_it_is_scraped_the_server_is_asked_once_a_second(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposed_module, "PROBED_EVERY_S", 600.0)

    async def commands() -> int:
        told = await log.server.client.execute_command("INFO", "stats")
        return int(told["total_commands_processed"])

    async with asking(exposed_of(log, [consumer_of(log, Handling())])) as asked:
        await asked.samples()
        before = await commands()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(asked.samples)
                tasks.start_soon(asked.told, "/livez")
                tasks.start_soon(asked.told, "/readyz")
        assert await commands() == before + 1


async def test_a_port_in_use_is_passed_over_and_told(log: EventLog) -> None:
    exposed = exposed_of(log, [consumer_of(log, Handling())])
    async with exposition(exposed, MetricsSettings(port=0)) as first:
        assert first is not None
        port = int(first.rpartition(":")[2])
        with captured_lines() as logs:
            async with exposition(exposed, MetricsSettings(port=port)) as second:
                assert second is not None
                assert port < int(second.rpartition(":")[2]) < port + PORTS_TRIED
    [line] = logs
    assert (line["event"], line["log_level"], line["taken"]) == ("metrics_served", "info", port)


async def test_an_address_that_cannot_be_used_is_a_warning_and_the_block_runs(
    log: EventLog,
) -> None:
    settings = MetricsSettings(host="192.0.2.1", port=9_464)
    with captured_lines() as logs:
        async with exposition(exposed_of(log, [consumer_of(log, Handling())]), settings) as url:
            assert url is None
    [warning] = [one for one in logs if one["log_level"] == "warning"]
    assert (warning["event"], warning["port"]) == ("metrics_unavailable", 9_464)
    assert any(words in warning["why"] for words in ("assign", "could not bind on any address"))


async def test_switched_off_nothing_is_served(log: EventLog) -> None:
    consumer = consumer_of(log, Handling())
    with captured_lines() as logs:
        async with exposition(exposed_of(log, [consumer]), MetricsSettings(enabled=False)) as url:
            assert url is None
    assert logs == []


def test_a_supervisors_processes_have_the_ports_after_its_own() -> None:
    assert [MetricsSettings(port=9_000).port_of(slot) for slot in range(3)] == [9_001, 9_002, 9_003]
    assert MetricsSettings(port=0).port_of(3) == 0
    assert MetricsSettings(port=65_534).port_of(1) == 0


async def test_a_supervisor_tells_its_restarts_and_is_ready_when_all_run() -> None:
    stays = [sys.executable, "-S", "-P", "-c", "import sys; sys.stdin.read()"]
    supervisor = Supervisor({"killed": stays, "other": stays})

    async def killed_again() -> bool:
        return supervisor.restarts["killed"] == 1 and len(supervisor.pids) == 2

    async with asking(ExposedSupervisor(supervisor)) as asked, anyio.create_task_group() as tasks:
        assert (await asked.told("/livez"))[0] == 200
        status, body = await asked.told("/readyz")
        assert status == 503
        assert [one["why"] for one in body["problems"]] == [
            "process killed does not run",
            "process other does not run",
        ]
        tasks.start_soon(supervisor.keep_running)
        await asked.until("/readyz", 200)
        os.kill(supervisor.pids["killed"], signal.SIGKILL)
        await wait_until(killed_again, "it was started again")
        samples = await asked.samples()
        await supervisor.stop()
    assert samples == {
        "process_restarts_total killed": 1,
        "process_restarts_total other": 0,
        "process_running killed": 1,
        "process_running other": 1,
    }


def test_a_distribution_counts_a_value_up_to_its_bound() -> None:
    values = Distribution((1, 10))
    for value in (1, 2, 10, 11):
        values.add(value)
    assert values.cumulated() == [("1.0", 1), ("10.0", 3), ("+Inf", 4)]
    assert values.total == 24


def test_names_have_their_unit_last_and_are_told_once() -> None:
    names = [metric.full_name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert all(metric.help.endswith(".") for metric in METRICS)
    units = ("_total", "_entries", "_seconds", "_up", "_running", "_connected")
    counts = ("_living", "_dead", "_routes", "_refusals")
    assert [name for name in names if not name.endswith(units + counts)] == []


def test_the_page_of_the_metrics_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == metrics_page(), "python -m docs.pages.metrics_page > docs/metrics.md"
