"""What /livez and /readyz answer while real things break."""

import os
import signal
import socket
from uuid import uuid4

import aiohttp
import anyio
import pytest

from consumers.monitoring.targets import PROBE_TIMEOUT_S, ExposedChecker
from consumers.monitoring.vitals import VitalsSettings
from consumers.processes.embedded import EmbeddedServer
from events import EventLog, open_log
from events.entry.recorded import RecordedEvent
from producers.checker.membership import MembershipSettings, join
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.exposition import Asked, asking, exposed_of
from tests.consumers.support.group_process import processes
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    consumer_of,
    consuming,
    created,
    dying,
    until_settled,
)
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("look_always")

IMPATIENT = VitalsSettings(stalled_s=0.5, patience_s=600)


async def test_a_consumer_whose_reads_are_cut_off_while_lag_grows_does_not_live_until_they_come(
    log: EventLog, shared_server: EmbeddedServer
) -> None:
    async with (
        tcp_proxy(shared_server.port) as proxy,
        open_log(proxy.url, namespace=log.keys.namespace) as through,
    ):
        handling = Handling()
        consumer = consumer_of(through, handling)
        async with (
            asking(exposed_of(through, [consumer], IMPATIENT)) as asked,
            consuming(consumer),
        ):
            await asked.until("/readyz", 200)
            held = proxy.hold_next(b"XREADGROUP")
            await held.arrived.wait()
            entries = await log.append(*(created() for _ in range(3)))
            told = await asked.until("/livez", 503)
            await held.release()
            await handling.until_handled(*entries.entry_ids)
            well = await asked.until("/livez", 200)

    [problem] = told["problems"]
    assert "nothing is read although 3 entries are there" in problem["why"]
    assert (problem["group"], problem["partition"]) == (GROUP, 0)
    assert problem["since"]
    assert well == {"ok": True, "problems": []}


async def test_a_consumer_without_lag_lives_although_no_read_is_answered(
    log: EventLog, shared_server: EmbeddedServer
) -> None:
    settings = VitalsSettings(stalled_s=0.001)
    async with (
        tcp_proxy(shared_server.port) as proxy,
        open_log(proxy.url, namespace=log.keys.namespace) as through,
    ):
        consumer = consumer_of(through, Handling())
        async with asking(exposed_of(through, [consumer], settings)) as asked, consuming(consumer):
            await asked.until("/readyz", 200)
            held = proxy.hold_next(b"XREADGROUP")
            await held.arrived.wait()
            assert (await asked.told("/livez"))[0] == 200
            await held.release()


async def test_a_consumer_whose_handler_hangs_does_not_live_until_it_goes_on(
    log: EventLog,
) -> None:
    goes_on = anyio.Event()

    async def hang(_recorded: RecordedEvent) -> None:
        await goes_on.wait()

    handling = Handling()
    handling.before = hang
    consumer = consumer_of(log, handling)
    async with asking(exposed_of(log, [consumer], IMPATIENT)) as asked, consuming(consumer):
        appended = await log.append(created())
        told = await asked.until("/livez", 503)
        assert (await asked.told("/readyz"))[0] == 200
        goes_on.set()
        await asked.until("/livez", 200)
    assert (
        f"1 entries from {appended.entry_ids[0]} on are not settled" in told["problems"][0]["why"]
    )


async def test_while_the_server_is_away_a_consumer_lives_but_is_not_ready(
    own_server: EmbeddedServer, namespace: str
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        consumer = consumer_of(log, Handling())
        async with asking(exposed_of(log, [consumer], IMPATIENT)) as asked, dying(consumer):
            await asked.until("/readyz", 200)
            await log.append(created())
            await until_settled(log)
            own_server.kill()
            told = await asked.until("/readyz", 503)
            await until_silent(asked)
            assert (await asked.told("/livez"))[0] == 200
            own_server.start()
            await asked.until("/readyz", 200)
    assert told["problems"][0]["partition"] == 0


async def test_a_server_that_says_nothing_holds_up_no_answer(
    log: EventLog, shared_server: EmbeddedServer
) -> None:
    async with (
        tcp_proxy(shared_server.port) as proxy,
        open_log(proxy.url, namespace=log.keys.namespace) as through,
    ):
        consumer = consumer_of(through, Handling())
        async with asking(exposed_of(through, [consumer], IMPATIENT)) as asked, dying(consumer):
            await asked.until("/readyz", 200)
            proxy.silent = True
            with anyio.fail_after(PROBE_TIMEOUT_S + 2.0):
                assert (await asked.told("/livez"))[0] == 200
                status, body = await asked.told("/readyz")
            assert status == 503
            assert "no answer within 0.5 s" in body["problems"][0]["why"]
            await until_silent(asked)
            assert (await asked.told("/livez"))[0] == 200


async def until_silent(asked: Asked) -> None:
    """Wait until the consumer is silent for longer than it may be if the server answers."""

    async def is_silent() -> bool:
        _, body = await asked.told("/readyz")
        seconds = body["problems"][0]["why"].rpartition("for ")[2].removesuffix(" s")
        return float(seconds) > 2 * IMPATIENT.stalled_s

    await wait_until(is_silent, "it is silent")


async def test_a_server_that_is_away_for_too_long_is_a_reason_to_start_again(
    own_server: EmbeddedServer, namespace: str
) -> None:
    settings = VitalsSettings(stalled_s=0.2, patience_s=1.0)
    async with open_log(own_server.url, namespace=namespace) as log:
        consumer = consumer_of(log, Handling())
        async with asking(exposed_of(log, [consumer], settings)) as asked, dying(consumer):
            await asked.until("/readyz", 200)
            own_server.kill()
            told = await asked.until("/livez", 503)
    assert "the server is away" in told["problems"][0]["why"]


async def test_a_projector_without_a_read_model_is_not_ready(log: EventLog) -> None:
    consumer = consumer_of(log, Handling(), group=ROUTE_TABLE.name)
    async with asking(exposed_of(log, [consumer])) as asked, consuming(consumer):
        told = await asked.until("/readyz", 503)
        await until_settled(log, ROUTE_TABLE.name)
        told = await asked.until("/readyz", 503)
        assert "the read model has no live generation" in told["problems"][0]["why"]


async def test_a_checker_is_ready_while_its_signs_of_life_are_heard(
    own_server: EmbeddedServer, namespace: str
) -> None:
    settings = MembershipSettings(heartbeat_s=0.05, leave_timeout_s=0.1)
    async with (
        open_log(own_server.url, namespace=namespace) as log,
        join(log.server, log.keys, "first", settings) as membership,
        asking(exposed := ExposedChecker(log)) as asked,
    ):
        await asked.until("/readyz", 503)
        exposed.membership = membership
        await asked.until("/readyz", 200)
        assert await asked.samples() == {"checkers_living": 1, "checkers_dead": 0, "server_up": 1}
        own_server.kill()
        await asked.until("/readyz", 503)
        assert (await asked.told("/livez"))[0] == 200


async def test_a_process_that_stands_still_does_not_answer_which_is_an_answer_too(
    log: EventLog, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    monkeypatch.setenv("ROUTESTREAM_METRICS_PORT", str(port))
    patience = aiohttp.ClientTimeout(total=0.5)
    async with (
        processes(log, redis_url) as started,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
    ):
        asked = Asked(f"http://127.0.0.1:{port}", session)
        process = await started.start(ROUTE_TABLE.name, f"first-{uuid4().hex[:6]}")
        await asked.until("/readyz", 200)
        assert "routestream_lag_entries" in await text_of(asked, session)
        process.freeze()
        with pytest.raises(TimeoutError):
            await session.get(f"{asked.url}/livez", timeout=patience)
        os.kill(process.process.pid, signal.SIGCONT)
        await asked.until("/livez", 200)
        assert await process.stop() == 0


async def text_of(asked: Asked, session: aiohttp.ClientSession) -> str:
    async with session.get(f"{asked.url}/metrics") as response:
        return await response.text()


async def test_a_scrape_does_not_hold_up_the_end_of_a_process(log: EventLog) -> None:
    consumer = consumer_of(log, Handling(), settings=QUICK)
    async with asking(exposed_of(log, [consumer])) as asked, consuming(consumer):
        await asked.samples()
        began_at = anyio.current_time()
    assert anyio.current_time() - began_at < 1.0


async def test_a_read_that_is_answered_with_nothing_is_a_sign_of_life(log: EventLog) -> None:
    consumer = consumer_of(log, Handling())
    async with consuming(consumer):
        for _ in range(3):
            before = consumer.progress.active_at

            def is_active(before: float = before) -> bool:
                return consumer.progress.active_at > before

            await wait_until(is_active, "it has read once more")
            assert consumer.progress.state == "consuming"
