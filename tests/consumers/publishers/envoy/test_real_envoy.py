"""What a real Envoy does with what it is given."""

import socket

import anyio
import pytest
from msgspec.structs import replace

from consumers.publishers.envoy.discovery_server import discovery_server
from tests.consumers.publishers.support.envoy_setup import Setup
from tests.consumers.publishers.support.h2_server import h2_server
from tests.consumers.publishers.support.model_servers import streaming
from tests.consumers.publishers.support.put_feed import PutFeed, endpoint_of, route_of, snapshot_at
from tests.consumers.publishers.support.running_envoy import with_envoy
from tests.support.waiting import wait_until

pytestmark = with_envoy


async def test_traffic_moves_with_each_change_and_its_revision_is_acknowledged(
    served: Setup,
) -> None:
    for at in range(2, 22):
        wanted, weights = ("second", (0, 1)) if at % 2 == 0 else ("first", (1, 0))
        served.put(*weights, at=at)
        await served.client.until("chat", wanted)
        await served.until_acknowledged(at)

    assert served.state.refused == 0
    assert any(version.startswith("21-0/") for version in await served.envoy.versions())


async def test_requests_are_shared_by_the_weights(served: Setup) -> None:
    served.put(3, 1, at=2)
    await served.until_acknowledged(2)

    answers = await served.client.count("chat", 400)

    assert answers.total() == answers["first"] + answers["second"] == 400
    assert abs(answers["first"] - 300) <= 8


async def test_an_endpoint_without_routes_is_503_and_comes_back(served: Setup) -> None:
    served.put(at=2)
    await served.client.until("chat", "503")
    served.put(0, 1, at=3)

    await served.client.until("chat", "second")


@pytest.mark.parametrize("protocol", ["h2", "grpc"])
async def test_a_replica_that_speaks_h2_alone_is_reached_without_tls(
    served: Setup, protocol: str
) -> None:
    async with h2_server("two") as port:
        route = route_of(7, port, protocol=protocol)
        served.feed.put(snapshot_at(endpoint_of("chat", route, at=2)))

        await served.until_acknowledged(2)
        await served.client.until("chat", "two")


async def test_a_host_of_no_endpoint_is_404(served: Setup) -> None:
    await served.client.until("nobody", "404")


async def test_a_killed_server_fails_no_more_than_the_requests_it_had(served: Setup) -> None:
    async with served.load(clients=8) as answers:
        await served.second.stop()
        await served.more_answers(200)

    assert answers["first"] > 200
    assert answers.total() - answers["first"] - answers["second"] <= 8


async def test_a_drained_server_may_be_killed_when_the_change_is_acknowledged(
    served: Setup,
) -> None:
    async with served.load() as answers:
        served.put(1, 0, at=2)
        await served.until_acknowledged(2)
        await served.more_answers()  # those under way at the acknowledgement have ended
        await served.second.stop()
        await served.more_answers()

    assert set(answers) == {"first", "second"}


async def test_a_stream_goes_on_when_its_server_is_drained(served: Setup) -> None:
    served.put(0, 1, at=2)
    await served.client.until("chat", "second")

    async with streaming(served.client, "chat") as stream:
        await stream.send()
        served.put(1, 0, at=3)
        await served.client.until("chat", "first")
        await stream.send()

    assert stream.received == "secondsecond"


async def test_changes_elsewhere_bring_no_dead_server_back(served: Setup) -> None:
    def put(at: int) -> None:
        route = route_of(0, served.first.port)
        others = [route_of(n, 9, traffic_ratio=at) for n in range(1, 1 + at % 3)]
        served.feed.put(
            snapshot_at(endpoint_of("chat", route), endpoint_of("other", *others, at=at))
        )

    put(2)
    await served.client.until("chat", "first")
    await served.second.stop()
    async with served.load() as answers:
        for at in range(3, 40):
            put(at)
            await served.until_acknowledged(at)

    assert set(answers) == {"first"}


async def test_a_server_that_hangs_gets_no_request_once_it_is_out(served: Setup) -> None:
    served.second.hangs = anyio.Event()
    served.put(1, 0, at=2)
    await served.until_acknowledged(2)

    assert set(await served.client.count("chat", 50)) == {"first"}
    served.second.hangs.set()


async def test_envoy_keeps_what_it_has_while_nobody_publishes(setup: Setup) -> None:
    async with discovery_server(setup.feed, setup.ledger, setup.settings):
        setup.put(1, 1, at=1)
        await setup.client.until("chat", "first", "second")
    async with setup.load() as answers:
        await setup.more_answers()
        setup.put(0, 1, at=2)
        async with discovery_server(setup.feed, setup.ledger, setup.settings):
            await setup.until_acknowledged(2)
            await setup.client.until("chat", "second")

    assert set(answers) == {"first", "second"}


async def test_a_publisher_without_a_table_takes_no_route_from_envoy(setup: Setup) -> None:
    async with discovery_server(setup.feed, setup.ledger, setup.settings):
        setup.put(1, 1, at=1)
        await setup.client.until("chat", "first", "second")
    empty, settings = PutFeed(), replace(setup.settings, hold_s=0.1)
    async with discovery_server(empty, setup.ledger, settings), setup.load() as answers:
        before = (await setup.envoy.statistics("lds.update_failure")).popitem()[1]

        async def refused() -> bool:
            return (await setup.envoy.statistics("lds.update_failure")).popitem()[1] > before

        await wait_until(refused, "Envoy was told that there is no table", 30.0)

    assert set(answers) == {"first", "second"}


async def test_an_envoy_that_is_started_again_has_everything_again(served: Setup) -> None:
    served.envoy.kill()
    await served.envoy.start()

    await served.client.until("chat", "first", "second")
    await served.until_acknowledged(1)


async def test_what_envoy_cannot_use_is_noted_and_the_traffic_goes_on(setup: Setup) -> None:
    async with discovery_server(setup.feed, setup.ledger, setup.settings):
        setup.put(1, 1, at=1)
        await setup.client.until("chat", "first", "second")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = replace(
            setup.settings, listener_host="127.0.0.1", listener_port=taken.getsockname()[1]
        )
        async with discovery_server(setup.feed, setup.ledger, settings):
            await wait_until(lambda: setup.state.refused > 0, "a refusal is noted", 30.0)

            [rejected] = (await setup.envoy.statistics("lds.update_rejected")).values()
            assert 1 <= rejected <= 10  # it is not given the same again and again
            assert setup.state.refusals[0].subject == "listeners"
            assert "asks again with what it had before" in setup.state.refusals[0].why
            assert set(await setup.client.count("chat", 20)) == {"first", "second"}
        async with discovery_server(setup.feed, setup.ledger, setup.settings):
            await wait_until(lambda: setup.state.refused == 0, "the refusal is over", 30.0)


async def test_a_path_is_taken_off_and_counts_in_whole_segments(served: Setup) -> None:
    labels = {"path": "/team/chat", "host": "models.example"}
    route = route_of(0, served.first.port)
    served.feed.put(snapshot_at(endpoint_of("chat", route, labels=labels, at=2)))
    await served.client.until("models.example", "first", path="/team/chat/v1/models?x=1")

    assert await served.client.ask("models.example", "/team/chat") == "first"
    assert await served.client.ask("models.example:80", "/team/chat/") == "first"
    assert await served.client.ask("models.example", "/team/chatter") == "404"
    assert set(served.first.paths[-3:]) == {"/v1/models", "/"}
