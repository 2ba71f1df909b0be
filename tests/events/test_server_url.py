"""The URL of a server: what it may say, and that no sentence about it shows a password."""

from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import URL_QUERY_ARGUMENT_PARSERS

from events.masks import MASK
from events.server.places import ServerPlace
from events.server.pool import Pool
from events.server.server import Server
from events.server.settings import ServerSettings
from events.server.url import parse_server_url
from events.server.url_options import UrlOptions


@pytest.mark.parametrize(
    ("url", "address", "database"),
    [
        ("redis://", "localhost:6379", 0),
        ("redis://host/", "host:6379", 0),
        ("rediss://host:1/0?db=0", "host:1", 0),
        ("redis://host/3/", "host:6379/3", 3),
        ("redis://host?db=4", "host:6379/4", 4),
        ("redis://[::1]:5/1", "[::1]:5/1", 1),
        ("unix:///run/redis.sock?db=2", "/run/redis.sock", 2),
        ("sentinel://a,b:1,[::1]/routes", "a:26379,b:1,[::1]:26379/routes", 0),
        ("sentinels://u:p@[::1]:5,a/my.routes-1/3", "[::1]:5,a:26379/my.routes-1/3", 3),
        ("cluster://a,b:1", "a:6379,b:1", 0),
    ],
)
def test_the_place_of_a_server_is_read(url: str, address: str, database: int) -> None:
    parsed = parse_server_url(url)
    assert (parsed.address, parsed.database) == (address, database)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://host/prod", "the path of the Redis URL is no database"),
        ("redis://host/0/1", "the path of the Redis URL is no database"),
        ("redis://host/65536", "it is a number from 0 to 65535"),
        ("redis://host/1?db=2", "names two databases"),
        ("redis://host?decode_responses=True", "option decode_responses of the Redis URL is not"),
        ("redis://host?foo=bar", "option foo of the Redis URL is not allowed here; allowed are db"),
        ("redis://host?foo", "option foo of the Redis URL is not allowed"),
        ("redis://host?protocol=3", "option protocol must be at most 2, got 3"),
        ("redis://host?socket_timeout=0", "socket_timeout must be at least 0.01, got 0"),
        ("redis://host?socket_timeout=soon", "socket_timeout must be a number, got text"),
        ("redis://host?timeout=1&timeout=2", "option timeout of the Redis URL is given twice"),
        ("redis://host?client_name=a b", "client_name must have 1 to 256 characters, none of"),
        ("redis://host?ssl_cert_reqs=none", "option ssl_cert_reqs of the Redis URL is for rediss"),
        ("rediss://host?ssl_cert_reqs=maybe", "ssl_cert_reqs: Invalid enum value 'maybe'"),
        ("rediss://host?ssl_ca_certs=/none", "ssl_ca_certs of the Redis URL cannot be loaded: no"),
        ("rediss://host?ssl_ca_path=/none", "ssl_ca_path of the Redis URL: /none is no folder"),
        ("rediss://host?ssl_keyfile=/none", "ssl_keyfile of the Redis URL needs ssl_certfile"),
        ("unix://run/redis.sock", "names no socket; unix:///PATH has three slashes"),
        ("http://host", "begins with no scheme that can be used"),
        ("sentinel://a,b,c", "the path of the Redis URL names no master"),
        ("sentinel://a/", "the path of the Redis URL names no master"),
        ("sentinel://a/my routes", "the path of the Redis URL names no master"),
        ("sentinel://a/routes/first", "the path of the Redis URL is no database"),
        ("sentinel://a,,b/routes", "has an empty host; hosts are separated by one comma each"),
        ("sentinel://,a/routes", "has an empty host"),
        ("sentinel://a,b:port/routes", "the port of the Redis URL is not a number"),
        ("sentinel://a,[::1/routes", "the Redis URL cannot be used"),
        (f"sentinel://{'a,' * 64}a/routes", "names 65 hosts, the limit is 64"),
        ("sentinel://a/routes?ssl_cert_reqs=none", "option ssl_cert_reqs of the Redis URL is for"),
        ("redis://a?sentinel_password=x", "option sentinel_password of the Redis URL is for sent"),
        ("cluster://a,b/1", "names a database, but a Redis Cluster has only 0"),
        ("redis://[::1", "the Redis URL cannot be used"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="Redis URL") as raised:
        ServerSettings(url=url)
    assert sentence in str(raised.value)


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "none.pem"
    file.write_text("nothing")
    for name in ("ssl_ca_certs", "ssl_certfile"):
        with pytest.raises(ValueError, match=rf"option {name}.* cannot be loaded: no "):
            parse_server_url(f"rediss://host?{name}={file}")


@pytest.mark.parametrize("name", sorted(URL_QUERY_ARGUMENT_PARSERS.keys()))
def test_each_option_of_the_client_library_counts_or_is_refused_by_name(name: str) -> None:
    if name in UrlOptions.__struct_fields__:
        url = f"rediss://host?{name}=2" if name != "ssl_check_hostname" else f"rediss://?{name}=1"
        if name == "socket_keepalive":
            url = f"redis://host?{name}=true"
        assert getattr(parse_server_url(url).options, name) is not None
    else:
        with pytest.raises(ValueError, match=f"option {name} of the Redis URL is not allowed"):
            parse_server_url(f"redis://host?{name}=1")


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=6))
def test_no_part_of_a_password_that_is_not_encoded_is_shown(password: str) -> None:
    """It is used whole, or refused in a sentence that would be the same for any password."""
    told = []
    for secret in (password, password.translate({ord(c): "x" for c in password if c.isalnum()})):
        try:
            parsed = parse_server_url(f"redis://:{secret}@host:7000/1")
        except ValueError as error:
            told.append(str(error))
            continue
        assert (parsed.address, parsed.password) == ("host:7000/1", unquote(secret))
    assert len({*told}) <= 1


HOSTS = st.one_of(
    st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{1,10}){0,2}", fullmatch=True),
    st.ip_addresses().map(str),
)
PLACES = st.builds(ServerPlace, HOSTS, st.integers(1, 65_535))


@given(
    scheme=st.sampled_from(["sentinel", "sentinels"]),
    places=st.lists(PLACES, min_size=1, max_size=9),
    name=st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
    database=st.integers(0, 65_535),
    secret=st.text(min_size=1),
)
def test_what_is_said_of_sentinels_is_read_back(
    scheme: str, places: list[ServerPlace], name: str, database: int, secret: str
) -> None:
    login = f"{quote(secret, safe='')}:{quote(secret, safe='')}"
    options = f"sentinel_username=watcher&sentinel_password={quote(secret, safe='')}"
    hosts = ",".join(map(str, places))
    parsed = parse_server_url(f"{scheme}://{login}@{hosts}/{name}/{database}?{options}")
    assert (parsed.scheme, list(parsed.hosts), parsed.master) == (scheme, places, name)
    assert (parsed.database, parsed.username, parsed.password) == (database, secret, secret)
    assert parsed.options.sentinel_password == secret
    assert not {"sentinel_username", "sentinel_password"} & parsed.connection_options.keys()

    masked = parse_server_url(parsed.masked)
    assert (masked.hosts, masked.master, masked.database) == (parsed.hosts, name, database)
    assert (masked.password, masked.options.sentinel_password) == (MASK, MASK)


@given(st.text(min_size=1))
def test_a_password_that_is_encoded_is_used_as_it_is(password: str) -> None:
    url = f"redis://user:{quote(password, safe='')}@host:7000/1"
    parsed = parse_server_url(url)
    assert (parsed.username, parsed.password) == ("user", password)
    in_query = parse_server_url(f"unix:///run/redis.sock?password={quote(password, safe='')}")
    assert in_query.password == password


async def test_what_the_url_says_counts(redis_url: str) -> None:
    options = "client_name=proxy&socket_timeout=7&socket_connect_timeout=3&timeout=2"
    more = "health_check_interval=9&socket_keepalive=true&protocol=2"
    server = Server(ServerSettings(url=f"{redis_url}/3?{options}&{more}"))
    try:
        about = await server.client.call("CLIENT LIST", "ID", await server.client.call("CLIENT ID"))
        pool = (await server.at("")).connection_pool
    finally:
        await server.aclose()
    assert isinstance(about, list)
    assert (about[0]["name"], about[0]["db"], about[0]["resp"]) == ("proxy", "3", "2")
    expected = {"socket_timeout": 7, "socket_connect_timeout": 3, "health_check_interval": 9}
    assert expected.items() <= pool.connection_kwargs.items()
    assert isinstance(pool, Pool)
    assert (pool.timeout, pool.connection_kwargs["socket_keepalive"]) == (2, True)
