"""How requests of Envoy are held and answered, and what is concluded from them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Self

import aiohttp
import anyio
import pytest

from consumers.errors import ListenError
from consumers.processes.embedded import free_port
from consumers.publishers.envoy.discovery_server import discovery_server
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.proxy_ledger import ProxyLedger, ProxyState, open_ledger
from events.log.log import EventLog
from tests.consumers.publishers.support.put_feed import PutFeed, endpoint_of, route_of, snapshot_at
from tests.support.waiting import wait_until

CHAT = endpoint_of("chat", route_of(1))
NAME = str(CHAT.endpoint_id)
LONG_S = 60.0
"""A hold that no test waits for."""


class Asking:
    """Asks as an Envoy does."""

    def __init__(self, feed: PutFeed, ledger: ProxyLedger, url: str) -> None:
        self.feed, self.url = feed, url
        self._ledger = ledger
        self._session: aiohttp.ClientSession

    @property
    def state(self) -> ProxyState:
        return self._ledger.proxy("proxy-1").state

    async def ask(
        self,
        kind: str,
        version: str = "",
        names: tuple[str, ...] = (),
        body: Any = None,  # noqa: ANN401 - any JSON
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the response."""
        asked = {"node": {"id": "proxy-1"}, "resource_names": names, "version_info": version}
        url = f"{self.url}/v3/discovery:{kind}"
        async with self._session.post(url, json=asked if body is None else body) as answer:
            content = await answer.json() if answer.status == 200 else {}
            return answer.status, content

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()


@asynccontextmanager
async def asking(log: EventLog, hold_s: float = LONG_S) -> AsyncIterator[Asking]:
    feed, settings = PutFeed(), EnvoySettings(port=free_port(), hold_s=hold_s)
    async with (
        open_ledger(log, "envoy") as ledger,
        discovery_server(feed, ledger, settings) as url,
        Asking(feed, ledger, url) as opened,
    ):
        yield opened


async def test_before_there_is_a_table_the_answer_is_503(log: EventLog) -> None:
    async with asking(log, hold_s=0.05) as envoy:
        status, _ = await envoy.ask("clusters")

    assert status == 503


async def test_a_request_waits_for_the_first_table(log: EventLog) -> None:
    async with asking(log) as envoy, anyio.create_task_group() as tasks:
        answers = []

        async def ask() -> None:
            answers.append(await envoy.ask("clusters"))

        tasks.start_soon(ask)
        await anyio.lowlevel.checkpoint()
        envoy.feed.put(snapshot_at(CHAT))
        await wait_until(lambda: bool(answers), "the answer")

        [(status, response)] = answers
        assert status == 200
        assert [one["name"] for one in response["resources"]] == [NAME]


async def test_what_an_envoy_has_is_not_given_again_until_it_changes(log: EventLog) -> None:
    async with asking(log, hold_s=0.05) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        _, first = await envoy.ask("endpoints", names=(NAME,))
        unchanged, _ = await envoy.ask("endpoints", first["version_info"], (NAME,))
        envoy.feed.put(snapshot_at(endpoint_of("chat", at=2)))
        changed, second = await envoy.ask("endpoints", first["version_info"], (NAME,))

    assert unchanged == 304
    assert changed == 200
    assert second["resources"][0]["endpoints"] == []
    assert second["version_info"].startswith("2-0/")


async def test_a_held_request_is_answered_when_something_changes_for_it(log: EventLog) -> None:
    async with asking(log) as envoy, anyio.create_task_group() as tasks:
        envoy.feed.put(snapshot_at(CHAT))
        _, first = await envoy.ask("endpoints", names=(NAME,))
        answers: list[dict[str, Any]] = []

        async def ask() -> None:
            _, answer = await envoy.ask("endpoints", first["version_info"], (NAME,))
            answers.append(answer)

        tasks.start_soon(ask)
        await wait_until(lambda: envoy.state.acknowledged is not None, "the request is held")
        envoy.feed.put(snapshot_at(CHAT, at=2))  # nothing changes for it
        await wait_until(lambda: envoy.state.acknowledged == "2-0", "2-0 is acknowledged")
        assert answers == []
        envoy.feed.put(snapshot_at(endpoint_of("chat", at=3)))

        await wait_until(lambda: bool(answers), "the answer", 20.0)
        assert answers[0]["version_info"].startswith("3-0/")


async def test_what_is_taken_each_time_is_never_refused(log: EventLog) -> None:
    async with asking(log, hold_s=0.01) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        for _ in range(4):  # it is started again and again
            status, routes = await envoy.ask("routes")
            assert status == 200
            await envoy.ask("routes", routes["version_info"])

        assert envoy.state.refused == 0
        assert envoy.state.acknowledged == "1-0"


async def test_a_revision_is_acknowledged_when_all_of_it_is_taken(log: EventLog) -> None:
    async with asking(log, hold_s=0.05) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        _, clusters = await envoy.ask("clusters")
        assert (envoy.state.sent, envoy.state.acknowledged) == ("1-0", None)
        await envoy.ask("clusters", clusters["version_info"])
        assert envoy.state.acknowledged is None  # its endpoints are still to be asked for
        _, endpoints = await envoy.ask("endpoints", names=(NAME,))
        assert envoy.state.acknowledged is None

        await envoy.ask("endpoints", endpoints["version_info"], (NAME,))

        assert envoy.state.acknowledged == "1-0"


async def test_what_left_before_it_was_asked_for_is_waited_for_no_more(log: EventLog) -> None:
    async with asking(log, hold_s=0.05) as envoy:
        envoy.feed.put(snapshot_at(CHAT, endpoint_of("short-lived")))
        _, clusters = await envoy.ask("clusters")
        _, endpoints = await envoy.ask("endpoints", names=(NAME,))
        await envoy.ask("endpoints", endpoints["version_info"], (NAME,))
        envoy.feed.put(snapshot_at(CHAT, at=2))
        _, clusters = await envoy.ask("clusters", clusters["version_info"])

        await envoy.ask("clusters", clusters["version_info"])

        assert envoy.state.acknowledged == "2-0"


async def test_a_change_is_lacked_until_it_is_taken(log: EventLog) -> None:
    async with asking(log, hold_s=0.05) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        _, before = await envoy.ask("endpoints", names=(NAME,))
        await envoy.ask("endpoints", before["version_info"], (NAME,))
        assert envoy.state.acknowledged == "1-0"

        envoy.feed.put(snapshot_at(endpoint_of("chat", at=2)))
        _, after = await envoy.ask("endpoints", before["version_info"], (NAME,))
        assert envoy.state.acknowledged == "1-0"

        await envoy.ask("endpoints", after["version_info"], (NAME,))
        assert envoy.state.acknowledged == "2-0"


async def test_a_revision_that_changes_nothing_for_envoy_is_acknowledged(log: EventLog) -> None:
    async with asking(log) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        _, routes = await envoy.ask("routes")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(envoy.ask, "routes", routes["version_info"])
            await wait_until(lambda: envoy.state.acknowledged == "1-0", "1-0 is acknowledged")

            envoy.feed.put(snapshot_at(CHAT, at=2))

            await wait_until(lambda: envoy.state.acknowledged == "2-0", "2-0 is acknowledged")
            tasks.cancel_scope.cancel()


async def test_an_envoy_that_was_started_again_is_answered_at_once(log: EventLog) -> None:
    async with asking(log, hold_s=LONG_S) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        _, routes = await envoy.ask("routes")
        with anyio.move_on_after(0.2):
            await envoy.ask("routes", routes["version_info"])  # it is held, and given up

        status, again = await envoy.ask("routes")

    assert status == 200
    assert again == routes


async def test_what_is_not_taken_is_given_again_with_growing_pauses(log: EventLog) -> None:
    async with asking(log, hold_s=LONG_S) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        began = monotonic()
        for _ in range(4):
            status, _ = await envoy.ask("routes", "0-0/before")
            assert status == 200

        assert monotonic() - began > 0.6  # 0.1, 0.2 and 0.4 s lie between
        [refusal] = envoy.state.refusals
        assert refusal.subject == "routes"
        assert envoy.state.acknowledged is None


async def test_a_refusal_ends_when_the_next_revision_is_taken(log: EventLog) -> None:
    async with asking(log, hold_s=0.5) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        while not envoy.state.refused:
            await envoy.ask("routes", "0-0/before")
        other = endpoint_of("other")
        envoy.feed.put(snapshot_at(CHAT, other, at=2))

        _, routes = await envoy.ask("routes", "0-0/before")
        await envoy.ask("routes", routes["version_info"])

        assert envoy.state.acknowledged == "2-0"
        assert envoy.state.refused == 0


async def test_of_an_endpoint_that_is_not_there_nothing_is_said(log: EventLog) -> None:
    async with asking(log, hold_s=0.05) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        status, _ = await envoy.ask("endpoints", names=("stranger",))

    assert status == 304


@pytest.mark.parametrize(
    "body",
    [{}, [], {"node": {}}, {"node": {"id": "a b"}}, {"node": {"id": "x"}, "version_info": 3}],
)
async def test_a_request_that_does_not_say_who_asks_is_refused(
    log: EventLog,
    body: Any,  # noqa: ANN401 - any JSON
) -> None:
    async with asking(log) as envoy:
        envoy.feed.put(snapshot_at(CHAT))
        status, _ = await envoy.ask("routes", body=body)

    assert status == 400


async def test_a_type_that_is_not_served_is_404(log: EventLog) -> None:
    async with asking(log) as envoy:
        status, _ = await envoy.ask("secrets")

    assert status == 404


async def test_a_port_that_is_taken_is_named(log: EventLog) -> None:
    async with asking(log) as envoy, open_ledger(log, "envoy") as ledger:
        port = int(envoy.url.rpartition(":")[2])
        with pytest.raises(ListenError, match=f"publish.envoy.port {port} .* opened"):
            async with discovery_server(PutFeed(), ledger, EnvoySettings(port=port)):
                pass
