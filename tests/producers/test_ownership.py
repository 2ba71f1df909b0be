from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import ServerUnavailableError
from events.log.keys import Keys
from events.server.server import Server, open_server
from events.server.settings import ServerSettings
from producers.checker.membership import Membership, MembershipSettings, join, owner_of
from tests.support.log_lines import captured_lines

ids = st.text(min_size=1, max_size=20)
checker_sets = st.sets(ids, min_size=1, max_size=12)
QUICK = MembershipSettings(heartbeat_s=0.01, lifetime_s=10.0)


@given(st.uuids(), checker_sets)
def test_every_endpoint_has_exactly_one_owner_whatever_the_order(
    endpoint_id: UUID, checkers: set[str]
) -> None:
    owner = owner_of(endpoint_id, checkers)
    assert owner in checkers
    assert owner == owner_of(endpoint_id, sorted(checkers, reverse=True))


@given(st.lists(st.uuids(), max_size=30), checker_sets, ids)
def test_a_checker_that_leaves_only_moves_its_own_endpoints(
    endpoints: list[UUID], staying: set[str], leaving: str
) -> None:
    before = {endpoint: owner_of(endpoint, {*staying, leaving}) for endpoint in endpoints}
    after = {endpoint: owner_of(endpoint, staying - {leaving}) for endpoint in endpoints}
    moved = {endpoint for endpoint in endpoints if before[endpoint] != after[endpoint]}
    assert all(before[endpoint] == leaving for endpoint in moved)


def test_nobody_owns_anything_while_no_checker_lives() -> None:
    assert owner_of(uuid4(), []) is None


def test_the_endpoints_are_shared_evenly() -> None:
    checkers = [f"checker-{number}" for number in range(4)]
    shares = Counter(owner_of(UUID(int=number), checkers) for number in range(4_000))
    assert set(shares) == set(checkers)
    assert all(800 < share < 1_200 for share in shares.values())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"heartbeat_s": 0}, "heartbeat_s must be at least 0.01, got 0"),
        ({"leave_timeout_s": -1}, "leave_timeout_s must be at least 0.01, got -1"),
        ({"lifetime_s": 3.0}, r"lifetime_s must be at least twice heartbeat_s \(2.0\), got 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    settings: dict[str, float], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        MembershipSettings(**settings)


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Server]:
    async with open_server(ServerSettings(url=redis_url)) as opened:
        yield opened


@pytest.fixture
def keys() -> Keys:
    return Keys(f"ownership-{uuid4().hex}")


async def living(server: Server, keys: Keys) -> set[bytes]:
    return set(await server.client.execute_command("ZRANGE", keys.checkers, 0, -1))


async def until_living(membership: Membership, *checkers: str) -> None:
    with anyio.fail_after(10):
        while membership.living != set(checkers):
            await membership.changed()


async def test_those_who_join_know_each_other_and_share_the_endpoints(
    server: Server, keys: Keys
) -> None:
    async with join(server, keys, "a", QUICK) as a, join(server, keys, "b", QUICK) as b:
        await until_living(a, "a", "b")
        assert b.living == {"a", "b"}
        assert all(a.owns(endpoint) != b.owns(endpoint) for endpoint in map(UUID, some_ids()))


def some_ids() -> list[str]:
    return [str(uuid4()) for _ in range(50)]


async def test_a_clean_stop_leaves_at_once(server: Server, keys: Keys) -> None:
    async with join(server, keys, "stays", QUICK) as stays:
        async with join(server, keys, "leaves", QUICK):
            await until_living(stays, "stays", "leaves")
        assert await living(server, keys) == {b"stays"}
        await until_living(stays, "stays")
    assert await living(server, keys) == set()


async def test_who_gave_no_sign_for_its_lifetime_is_removed(server: Server, keys: Keys) -> None:
    seconds, _ = await server.client.execute_command("TIME")
    now_ms = int(seconds) * 1_000
    await server.client.call("ZADD", keys.checkers, now_ms - 11_500, "dead", now_ms, "alive")
    async with join(server, keys, "new", QUICK) as new:
        assert new.living == {"alive", "new"}
    assert await living(server, keys) == {b"alive"}


async def test_the_score_is_the_servers_clock_in_milliseconds(server: Server, keys: Keys) -> None:
    before, _ = await server.client.execute_command("TIME")
    async with join(server, keys, "a", QUICK):
        score = float(await server.client.execute_command("ZSCORE", keys.checkers, "a"))
        after, _ = await server.client.execute_command("TIME")
    assert int(before) * 1_000 <= score <= (int(after) + 1) * 1_000


async def test_while_the_server_is_away_the_last_answer_holds_and_is_said_once(
    server: Server, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    membership = Membership(server, keys, "a", QUICK)
    await membership.heartbeat()

    async def away(*_: object) -> None:
        raise ServerUnavailableError("connection refused")

    with captured_lines() as logs:
        with monkeypatch.context() as fault:
            fault.setattr(membership, "_script", away)
            await membership.heartbeat()
            await membership.heartbeat()
        assert membership.living == {"a"}
        await membership.heartbeat()
    assert [line["event"] for line in logs] == ["heartbeat_failed", "heartbeat_resumed"]


async def test_who_was_not_heard_yet_owns_nothing(server: Server, keys: Keys) -> None:
    assert not Membership(server, keys, "a", QUICK).owns(uuid4())
