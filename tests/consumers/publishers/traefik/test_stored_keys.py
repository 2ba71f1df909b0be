"""What is written for Traefik's Redis provider, without a Traefik."""

from collections.abc import AsyncIterator, Iterator
from shutil import which
from uuid import UUID

import pytest

from consumers.errors import MissingSettingError, UnreachableProxyError
from consumers.processes.embedded import EmbeddedServer, embedded_server
from consumers.publishers.proxy_ledger import ProxyNotes, ProxyState
from consumers.publishers.table_snapshot import TableSnapshot
from consumers.publishers.traefik import stored_configuration
from consumers.publishers.traefik.key_store import KeyStore
from consumers.publishers.traefik.redis_publisher import TRAEFIK_REDIS
from consumers.publishers.traefik.stored_configuration import StoredConfiguration
from consumers.publishers.traefik.traefik_settings import TraefikSettings
from consumers.settings import Settings
from events.entry.entry_id import EntryId
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.consumers.publishers.support.traefik_world import ModelServer, endpoint, snapshot

NAME = f"endpoint-{UUID(int=1)}"
SERVERS = f"http/services/{NAME}/loadbalancer/servers"
REVISION = "http/middlewares/routestream-revision/headers/customresponseheaders/X-Route-Rev"


def at(number: int) -> EntryId:
    return EntryId(10, number)


def table(number: int, servers: int = 1, first: int = 1) -> TableSnapshot:
    """Return a table of one endpoint at the revision *number*."""
    models = [ModelServer("a") for _ in range(servers)]
    for place, model in enumerate(models):
        model.port, model.route_id = 8_000 + first + place, UUID(int=100 + place)
    routes = [model.route() for model in models]
    return snapshot(endpoint(1, *routes, version=at(number)))


@pytest.fixture(scope="module")
def keys_server() -> Iterator[EmbeddedServer]:
    with embedded_server() as server:
        yield server


@pytest.fixture
async def server(keys_server: EmbeddedServer) -> AsyncIterator[Server]:
    opened = Server(ServerSettings(url=f"{keys_server.url}/3"))
    await opened.client.call("FLUSHALL")
    yield opened
    await opened.aclose()


def stored(server: Server, *, default_certificate: bool = False) -> StoredConfiguration:
    notes = ProxyNotes(ProxyState(publisher="traefik-redis", proxy="keys"), lambda _: None)
    made = TraefikSettings(default_certificate=default_certificate)
    return StoredConfiguration(KeyStore(server, "traefik"), made, notes, ())


async def held(server: Server) -> dict[str, str]:
    return (await KeyStore(server, "traefik").read()).values


async def told(server: Server) -> list[str]:
    """Return what the server has carried out since it was last asked, without the reading."""
    raw = await server.client.call("INFO", "commandstats")
    await server.client.call("CONFIG", "RESETSTAT")
    assert isinstance(raw, dict)
    writing = ("mset", "set", "del", "publish", "msetnx")
    return [name for name in writing if f"cmdstat_{name}" in raw]


async def calls(server: Server, command: str) -> int:
    """Return how often the server has carried out *command* since it was last told."""
    raw = await server.client.call("INFO", "commandstats")
    assert isinstance(raw, dict)
    return int(raw[f"cmdstat_{command}"]["calls"])


async def test_nothing_is_written_where_nothing_changed(server: Server) -> None:
    configuration = stored(server)
    await configuration.publish(table(1), whole=True)
    await told(server)
    await configuration.publish(table(1), whole=False)
    assert await told(server) == []
    await configuration.publish(table(1), whole=True)
    assert await told(server) == ["publish"]
    assert configuration.notes.state.acknowledged == "10-1"


async def test_a_change_is_one_step_and_told_once(server: Server) -> None:
    configuration = stored(server)
    await configuration.publish(table(1), whole=True)
    await told(server)
    async with server.blocking(REVISION, 1_000) as client:
        listener = client.pubsub()
        await listener.subscribe("__keyspace@3__:traefik/_routestream")
        assert (await listener.get_message(timeout=20))["type"] == "subscribe"
        await configuration.publish(table(2, first=2), whole=False)
        assert (await listener.get_message(timeout=20))["data"] == b"set"
        await listener.unsubscribe()
    values = await held(server)
    assert (values[REVISION], values[f"{SERVERS}/0/url"]) == ("10-2", "http://127.0.0.1:8002")


async def test_keys_of_others_stay_and_our_own_strays_go(server: Server) -> None:
    configuration = stored(server)
    gone = "http/services/endpoint-00000000-0000-0000-0000-000000000099/loadbalancer/bogus"
    theirs = {
        "traefik/http/routers/dashboard/rule": "Host(`d`)",
        "traefik2/http/routers/x/rule": "Host(`x`)",
        "traefik/http/middlewares/auth/basicauth/users/0": "a:b",
    }
    for key, value in {**theirs, f"traefik/{gone}": "1"}.items():
        await server.client.call("SET", key, value)
    await server.client.call("HSET", "traefik/a-hash", "a", "b")
    await server.client.call("SET", f"traefik/{SERVERS}/0/weight", "abc")
    await configuration.publish(table(1), whole=True)
    assert [await server.client.call("GET", key) for key in theirs] == [
        value.encode() for value in theirs.values()
    ]
    values = await held(server)
    assert gone not in values
    assert values[f"{SERVERS}/0/weight"] == "1"


async def test_what_others_spoil_is_mended_by_the_next_whole_comparison(server: Server) -> None:
    configuration = stored(server)
    await configuration.publish(table(1), whole=True)
    right = await held(server)
    await server.client.call("SET", f"traefik/{SERVERS}/0/weight", "abc")
    await server.client.call("DEL", f"traefik/http/routers/{NAME}/rule")
    await configuration.publish(table(1), whole=True)
    assert await held(server) == right


async def test_a_database_that_was_emptied_gets_all_of_it_in_one_step(server: Server) -> None:
    configuration = stored(server)
    await configuration.publish(table(1), whole=True)
    right = await held(server)
    await server.client.call("FLUSHALL")
    await told(server)
    await configuration.publish(table(2), whole=False)
    assert await held(server) == {**right, REVISION: "10-2"}
    assert await calls(server, "publish") == 1
    assert await calls(server, "get") == 2, "the step that was refused, and the one that was done"


async def test_slots_are_there_before_they_are_used_and_stay(server: Server) -> None:
    configuration = stored(server)
    await configuration.publish(table(1), whole=True)
    before = await held(server)
    assert f"{SERVERS}/8/url" not in before
    await told(server)
    await configuration.publish(table(2, servers=9), whole=False)
    assert await calls(server, "set") == 2, "the step of the new slots, and the one that uses them"
    assert await calls(server, "publish") == 1
    grown = await held(server)
    assert grown[f"{SERVERS}/8/url"] == "http://127.0.0.1:8009"
    assert grown[f"{SERVERS}/15/weight"] == "0"
    await configuration.publish(table(3), whole=True)
    assert (await held(server)).keys() == grown.keys()


async def test_a_publisher_that_lags_overwrites_nothing(server: Server) -> None:
    ahead, lagging = stored(server), stored(server)
    await lagging.publish(table(1), whole=True)
    await ahead.publish(table(2, first=2), whole=True)
    right = await held(server)
    await lagging.publish(table(1), whole=True)
    await lagging.publish(table(1), whole=False)
    assert await held(server) == right
    assert lagging.notes.state.acknowledged == "10-1"
    await lagging.publish(table(3, first=3), whole=False)
    assert (await held(server))[REVISION] == "10-3"


async def test_a_table_that_stays_older_than_the_keys_is_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(server).publish(table(2), whole=True)
    lagging = stored(server)
    await lagging.publish(table(1), whole=True)
    monkeypatch.setattr(stored_configuration, "OLDER_S_MAX", 0.0)
    with pytest.raises(UnreachableProxyError, match=r"10-2, which is newer than the table's 10-1"):
        await lagging.publish(table(1), whole=True)


async def test_keys_of_another_log_are_left_to_a_person(server: Server) -> None:
    configuration = stored(server)
    await configuration.publish(table(1), whole=True)
    right = await held(server)
    other = TableSnapshot("another-log", table(5).revision, table(5).endpoints)
    with pytest.raises(UnreachableProxyError, match=r"delete the key traefik/_routestream"):
        await configuration.publish(other, whole=True)
    assert await held(server) == right
    await server.client.call("DEL", "traefik/_routestream")
    await configuration.publish(other, whole=True)
    assert (await held(server))[REVISION] == "10-5"


async def test_of_two_certificates_the_first_stays_whole(server: Server) -> None:
    store = KeyStore(server, "traefik")
    await store.set_if_absent({"certfile": "first", "keyfile": "its key"})
    await store.set_if_absent({"certfile": "second", "keyfile": "another key"})
    assert await held(server) == {"certfile": "first", "keyfile": "its key"}


@pytest.mark.skipif(which("openssl") is None, reason="there is no openssl to make one")
async def test_publishers_on_one_root_share_a_certificate_that_stays(server: Server) -> None:
    first, second = (
        stored(server, default_certificate=True),
        stored(server, default_certificate=True),
    )
    await first.publish(table(1), whole=True)
    await second.publish(table(2), whole=True)
    values = await held(server)
    await first.publish(table(3), whole=True)
    names = [f"tls/stores/default/defaultcertificate/{name}" for name in ("certfile", "keyfile")]
    assert [(await held(server))[name] for name in names] == [values[name] for name in names]
    assert "BEGIN CERTIFICATE" in values[names[0]]
    assert "PRIVATE KEY" in values[names[1]]


async def test_a_server_that_is_away_is_told_by_its_name() -> None:
    away = Server(ServerSettings(url="redis://:a-secret@127.0.0.1:1/3"))
    with pytest.raises(UnreachableProxyError, match=r"redis://127\.0\.0\.1:1/3 traefik"):
        await stored(away).publish(table(1), whole=True)
    await away.aclose()


def test_without_a_url_there_is_no_such_publisher() -> None:
    with pytest.raises(MissingSettingError, match=r"publish\.traefik_redis\.url"):
        TRAEFIK_REDIS.check(Settings())
