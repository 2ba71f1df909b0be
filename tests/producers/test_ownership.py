from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import ServerUnavailableError
from events.log.keys import Keys
from events.server.server import Server, now_of, open_server
from events.server.settings import ServerSettings
from producers.checker.known_checkers import KnownCheckers, read_known_checkers
from producers.checker.membership import Membership, MembershipSettings, join, owner_of
from producers.checker.settings import CheckerSettings
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
        ({"lifetime_s": 0.9}, r"lifetime_s must be at least twice heartbeat_s \(0.5\), got 0.9"),
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


async def server_ms(server: Server) -> int:
    return round((await now_of(server)).timestamp() * 1_000)


async def checkers(server: Server, keys: Keys) -> KnownCheckers:
    now_s = await server_ms(server) / 1_000
    found = await read_known_checkers(server.client.call, keys, QUICK.lifetime_s, now_s)
    assert found is not None
    return found


async def known(server: Server, keys: Keys) -> set[bytes]:
    return set(await server.client.execute_command("ZRANGE", keys.checkers, 0, -1))


async def until_living(membership: Membership, *checkers: str) -> None:
    with anyio.fail_after(10):
        while membership.living != set(checkers):
            await membership.changed()


def test_with_the_defaults_a_dead_checker_is_replaced_within_five_seconds() -> None:
    settings = MembershipSettings()
    known_dead_s = settings.lifetime_s + settings.heartbeat_s
    assert known_dead_s + CheckerSettings().update_interval_s <= 4.5  # half a second to spare


async def test_a_checker_that_dies_is_replaced_although_it_did_not_leave(
    server: Server, keys: Keys
) -> None:
    settings = MembershipSettings(heartbeat_s=0.05, lifetime_s=0.35)
    dead = Membership(server, keys, "dead", settings)
    async with join(server, keys, "lives", settings) as lives:
        await dead.heartbeat()
        await until_living(lives, "lives", "dead")
        died_at = anyio.current_time()
        await until_living(lives, "lives")
        assert anyio.current_time() - died_at > 0.2
        assert all(lives.owns(UUID(one)) for one in some_ids())


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
        assert await known(server, keys) == {b"stays"}
        await until_living(stays, "stays")


async def test_the_last_that_stops_stays_known_as_dead_until_another_comes(
    server: Server, keys: Keys
) -> None:
    async with join(server, keys, "last", QUICK):
        pass
    left = await checkers(server, keys)
    assert (left.living, left.dead) == ([], ["last"])
    async with join(server, keys, "new", QUICK) as new:
        assert new.living == {"new"}
        assert await known(server, keys) == {b"new"}


async def test_the_dead_do_not_share_and_are_known_until_others_take_their_place(
    server: Server, keys: Keys
) -> None:
    now_ms = await server_ms(server)
    signs = (now_ms, "alive", now_ms - 11_500, "dead", now_ms - 12_500, "longer-dead")
    await server.client.call("ZADD", keys.checkers, *signs)
    async with join(server, keys, "new", QUICK) as new:
        assert new.living == {"alive", "new"}
        seen = await checkers(server, keys)
        assert (set(seen.living), seen.dead, seen.known) == ({"alive", "new"}, ["dead"], 3)
        assert 11 < seen.dead_s < 20
        async with join(server, keys, "newer", QUICK):
            assert (await checkers(server, keys)).dead == []


async def test_a_sign_from_before_the_clock_was_set_back_says_nothing(
    server: Server, keys: Keys
) -> None:
    ahead = await server_ms(server) + 3_600_000
    await server.client.call("ZADD", keys.checkers, ahead, "from-the-future")
    assert (await checkers(server, keys)).living == []
    async with join(server, keys, "here", QUICK) as here:
        assert here.living == {"here"}


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
