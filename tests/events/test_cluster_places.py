"""Where keys lie, by what the nodes of a cluster say, or do not say."""

import anyio
import pytest
import redis.exceptions as redis_errors

from events.errors import ServerUnavailableError
from events.server.cluster import ClusterPlaces
from events.server.connection import place_named
from events.server.places import ServerPlace
from events.server.translation import was_not_carried_out

ONE, OTHER = ServerPlace("10.0.0.1", 7000), ServerPlace("10.0.0.2", 7000)
SLOTS = [[0, 16_383, [b"10.0.0.9", 7000, b"id"]]]


async def test_a_node_without_slots_is_no_witness() -> None:
    async def ask(node: ServerPlace) -> object:
        return [] if node == ONE else SLOTS

    for _ in range(20):  # whoever is asked first
        places = ClusterPlaces([ONE, OTHER], ask)
        assert await places.of("foo") == ServerPlace("10.0.0.9", 7000)


async def test_nodes_without_slots_alone_are_an_error_and_nothing_was_sent() -> None:
    async def ask(_node: ServerPlace) -> object:
        return []

    with pytest.raises(ServerUnavailableError, match="knows no slots") as raised:
        await ClusterPlaces([ONE], ask).all()
    assert was_not_carried_out(raised.value)


async def test_those_who_wait_for_a_look_that_finds_nothing_do_not_look_again() -> None:
    asked: list[ServerPlace] = []
    failed: list[str] = []

    async def ask(node: ServerPlace) -> object:
        asked.append(node)
        await anyio.sleep(0.1)
        raise ServerUnavailableError("no answer")

    places = ClusterPlaces([ONE, OTHER], ask)

    async def look() -> None:
        try:
            await places.of("foo")
        except ServerUnavailableError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(look)
    assert len(failed) == 10
    assert len(asked) == 2


@pytest.mark.parametrize("told", ["9 :7001", "9 ?:7001"])
def test_a_node_that_names_no_host_means_its_own(told: str) -> None:
    assert place_named(redis_errors.AskError(told), ONE) == ServerPlace("10.0.0.1", 7001)


def test_a_node_that_names_a_host_means_that() -> None:
    named = place_named(redis_errors.MovedError("9 10.0.0.2:7000"), ONE)
    assert named == OTHER
