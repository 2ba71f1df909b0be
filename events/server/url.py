"""Parse the URL of a server: where it is, how to log in, and the options in its query."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

from events.masks import MASK
from events.server.places import ServerPlace
from events.server.url_options import DATABASE_MAX, WITH_TLS, UrlOptions, given, options_of

DEFAULT_PORT = 6_379
SENTINEL_PORT = 26_379

OF_A_CLUSTER = ("cluster", "clusters")
OF_SENTINELS = ("sentinel", "sentinels")

_ONE_SERVER = ("redis", "rediss", "unix")
_HOSTS_MAX = 64
_FORMS = (
    "redis://:PASSWORD@HOST:PORT/DB, rediss://:PASSWORD@HOST:PORT/DB, unix:///PATH,"
    " sentinel://HOST,HOST,HOST/NAME or cluster://HOST,HOST,HOST"
)
_PATH = re.compile(r"/?|/(?P<database>\d{1,5})/?", re.ASCII)
_MASTER = re.compile(r"/(?P<master>[A-Za-z0-9._-]{1,256})(?P<database>/.*|)", re.ASCII)


class ServerUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A URL of a server, taken apart.

    Attributes:
        scheme: `redis`, `unix`, `sentinel` or `cluster`; `rediss`, `sentinels` and `clusters` are
            those with TLS.
        hosts: The servers that are named: one, some nodes of a cluster, or some sentinels; with
            `unix` the path of the socket.
        master: The name by which sentinels know their master; empty unless with `sentinel`.
    """

    scheme: str
    hosts: tuple[ServerPlace, ...]
    master: str
    database: int
    username: str | None
    password: str | None
    options: UrlOptions

    @property
    def address(self) -> str:
        """Its hosts, ports and database, or its socket's path; never the password."""
        name = f"/{self.master}" if self.master else ""
        database = f"/{self.database}" if self.database and self.hosts[0].port else ""
        return ",".join(map(str, self.hosts)) + name + database

    @property
    def masked(self) -> str:
        """The URL without its passwords."""
        secret = "" if self.password is None else f":{MASK}"
        login = f"{quote(self.username or '', safe='')}{secret}"
        query = "&".join(
            f"{name}={MASK if name in _SECRETS else str(value).lower()}"
            for name, value in given(self.options)
            if name not in {"db", "username", "password"}
        )
        place = f"{login}@{self.address}" if login else self.address
        return f"{self.scheme}://{place}" + (f"?{query}" if query else "")

    def __repr__(self) -> str:
        return f"ServerUrl({self.masked!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.masked)]

    @property
    def has_tls(self) -> bool:
        """Whether connections use TLS."""
        return self.scheme in WITH_TLS

    @property
    def connection_options(self) -> dict[str, Any]:
        """What redis-py's connection is made with; without its place and what only we read."""
        options = {name: value for name, value in given(self.options) if name not in _TAKEN_APART}
        if "ssl_certfile" in options:
            options.setdefault("ssl_password", "")
        login = {"username": self.username, "password": self.password}
        return {**login, "db": self.database, **options}


_SECRETS = ("ssl_password", "sentinel_password")
_TAKEN_APART = (
    *("db", "username", "password", "sentinel_username", "sentinel_password"),
    *("socket_timeout", "socket_connect_timeout", "timeout"),
)


def parse_server_url(url: str) -> ServerUrl:
    """Return *url* taken apart.

    Raises:
        ValueError: It cannot be used. The sentence names what is wrong, and shows nothing that may
            be a part of a password.
    """
    first, *others = _each_host(url)
    parts = _split(first)
    port, options = _port(parts), options_of(parts.scheme, parts.query)
    hosts: tuple[ServerPlace, ...]
    master, path = "", parts.path
    if parts.scheme == "unix":
        if parts.netloc.rpartition("@")[2] or parts.path in {"", "/"}:
            raise ValueError("the Redis URL names no socket; unix:///PATH has three slashes")
        hosts, database = (ServerPlace(unquote(parts.path), 0),), None
    else:
        hosts = (_place(parts, port), *(_place(each, _port(each)) for each in map(_split, others)))
        if parts.scheme in OF_SENTINELS:
            master, path = _master(path)
        database = _database(path)
    if None not in {database, options.db} and database != options.db:
        raise ValueError("the Redis URL names two databases, in its path and as ?db=; give one")
    if parts.scheme in OF_A_CLUSTER and (database or options.db):
        raise ValueError("the Redis URL names a database, but a Redis Cluster has only 0")
    return ServerUrl(
        scheme=parts.scheme,
        hosts=hosts,
        master=master,
        database=database or options.db or 0,
        username=_one_of(parts.username, options.username),
        password=_one_of(parts.password, options.password),
        options=options,
    )


def masked_url(url: str) -> str:
    """Return the URL of a server without its passwords."""
    try:
        return parse_server_url(url).masked
    except ValueError:
        return MASK


def masked_urls(urls: Sequence[str]) -> tuple[str, ...]:
    """Return several URLs as `masked_url` does."""
    return tuple(map(masked_url, urls))


def _each_host(url: str) -> list[str]:
    """Return a URL for each host that *url* names: the first with all the rest of it."""
    scheme, separator, rest = url.partition("://")
    if scheme not in {*OF_SENTINELS, *OF_A_CLUSTER}:
        return [url]
    end = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    login, at, hosts = rest[:end].rpartition("@")
    first, *others = hosts.split(",")
    if "" in others or (others and not first):
        raise ValueError("the Redis URL has an empty host; hosts are separated by one comma each")
    if len(others) >= _HOSTS_MAX:
        raise ValueError(
            f"the Redis URL names {len(others) + 1} hosts, the limit is {_HOSTS_MAX};"
            " a few are enough: the others are found by them"
        )
    whole = f"{scheme}{separator}{login}{at}{first}{rest[end:]}"
    return [whole, *(f"{scheme}://{host}" for host in others)]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"the Redis URL cannot be used; {_FORMS} can") from None
    if parts.scheme not in {*_ONE_SERVER, *OF_SENTINELS, *OF_A_CLUSTER}:
        raise ValueError(f"the Redis URL begins with no scheme that can be used; {_FORMS} can")
    if parts.fragment or "@" in parts.path + parts.query:
        # An @ there ends a password that was cut at a character with a meaning in URLs.
        raise ValueError(
            "the Redis URL has a / ? or # within its password, or an @ after its host;"
            " in a password and in options they are written %2F %3F %23 %40"
        )
    return parts


def _place(parts: SplitResult, port: int) -> ServerPlace:
    return ServerPlace(unquote(parts.hostname or "localhost"), port)


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or (SENTINEL_PORT if parts.scheme in OF_SENTINELS else DEFAULT_PORT)
    except ValueError:
        # The port is not shown: without an @ it may be a password.
        raise ValueError(
            f"the port of the Redis URL is not a number from 0 to 65535; {_FORMS} can be used"
        ) from None


def _master(path: str) -> tuple[str, str]:
    """Return the name of the master, and the rest of the path."""
    found = _MASTER.fullmatch(path)
    if found is None:
        raise ValueError(
            "the path of the Redis URL names no master; it is the name that the sentinels know:"
            " sentinel://HOST,HOST,HOST/NAME"
        )
    return found["master"], found["database"]


def _database(path: str) -> int | None:
    """Return the number of the database; the path is not shown: it may be a part of a password."""
    found = _PATH.fullmatch(path)
    if found is None or int(found["database"] or 0) > DATABASE_MAX:
        raise ValueError(
            f"the path of the Redis URL is no database; it is a number from 0 to {DATABASE_MAX}:"
            f" {_FORMS}"
        )
    return None if found["database"] is None else int(found["database"])


def _one_of(before_host: str | None, in_query: str | None) -> str | None:
    return unquote(before_host) if before_host else in_query
