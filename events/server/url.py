"""Parse the URL of a server: where it is, how to log in, and the options in its query."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import msgspec
from msgspec import Meta

from events.limits import Limited, place_of, problem_of

DEFAULT_PORT = 6_379
DATABASE_MAX = 65_535

_FORMS = "redis://:PASSWORD@HOST:PORT/DB, rediss://:PASSWORD@HOST:PORT/DB or unix:///PATH"
_PATH = re.compile(r"/?|/(?P<database>\d{1,5})/?", re.ASCII)

Time = Annotated[float, Meta(ge=0.01, le=600)]
Text = Annotated[str, Meta(min_length=1, max_length=4_096)]


class UrlOptions(Limited, frozen=True):
    """What the query of the URL may set; the names are redis-py's, times are in seconds.

    Everything else that redis-py takes from a URL is refused: it changes what replies look like,
    repeats writes, or is set elsewhere.

    Attributes:
        db: The number of the database, where the path gives none.
        username: The user, where it does not stand before the host.
        password: The password, where it does not stand before the host.
        socket_timeout: Replaces `server.timeout_s`.
        socket_connect_timeout: The longest wait for a connection; else as for a reply.
        timeout: The longest wait for one of the connections that are in use; else as for a reply.
        socket_keepalive: Whether TCP looks for a lost server while nothing is sent.
        health_check_interval: A connection idle for longer is tried with PING before it is used;
            0: never.
        client_name: The name of connections in CLIENT LIST.
        protocol: The version of RESP: replies are read in version 2.
        ssl_cert_reqs: Whether the server's certificate is verified.
        ssl_check_hostname: Whether it must be for the host of the URL.
        ssl_ca_certs: A file of the certificates that are trusted; else the system's are.
        ssl_ca_path: A folder of such certificates.
        ssl_certfile: A file with our own certificate.
        ssl_keyfile: A file with its key.
        ssl_password: The password of that key.
    """

    db: Annotated[int, Meta(ge=0, le=DATABASE_MAX)] | None = None
    username: Text | None = None
    password: Text | None = None
    socket_timeout: Time | None = None
    socket_connect_timeout: Time | None = None
    timeout: Time | None = None
    socket_keepalive: bool | None = None
    health_check_interval: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    client_name: (
        Annotated[
            str, Meta(pattern=r"^[!-~]{1,256}\Z(?#have 1 to 256 characters, none of them a space)")
        ]
        | None
    ) = None
    protocol: Annotated[int, Meta(ge=2, le=2)] | None = None
    ssl_cert_reqs: Literal["required", "optional", "none"] | None = None
    ssl_check_hostname: bool | None = None
    ssl_ca_certs: Text | None = None
    ssl_ca_path: Text | None = None
    ssl_certfile: Text | None = None
    ssl_keyfile: Text | None = None
    ssl_password: Text | None = None


class ServerUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A URL of a server, taken apart.

    Attributes:
        scheme: `redis`, `rediss` (with TLS) or `unix`.
        host: The host; empty with `unix`.
        socket: The path of the socket; empty unless with `unix`.
    """

    scheme: str
    host: str
    port: int
    socket: str
    database: int
    username: str | None
    password: str | None
    options: UrlOptions

    @property
    def address(self) -> str:
        """Its host, port and database, or its socket's path; never the password."""
        if self.scheme == "unix":
            return self.socket
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + (f"/{self.database}" if self.database else "")

    @property
    def masked(self) -> str:
        """The URL without its passwords."""
        secret = "" if self.password is None else f":{MASK}"
        login = f"{quote(self.username or '')}{secret}"
        query = "&".join(
            f"{name}={MASK if name == 'ssl_password' else str(value).lower()}"
            for name, value in _given(self.options)
            if name not in {"db", "username", "password"}
        )
        place = f"{login}@{self.address}" if login else self.address
        return f"{self.scheme}://{place}" + (f"?{query}" if query else "")

    @property
    def connection_options(self) -> dict[str, Any]:
        """What redis-py's connection is made with; without what only the query may set."""
        given = {name: value for name, value in _given(self.options) if name not in _TAKEN_APART}
        if "ssl_certfile" in given:
            given.setdefault("ssl_password", "")
        place: dict[str, Any] = (
            {"path": self.socket}
            if self.scheme == "unix"
            else {"host": self.host, "port": self.port}
        )
        login = {"username": self.username, "password": self.password}
        return {**place, **login, "db": self.database, **given}


MASK = "***"
"""Stands in place of a secret."""

_TAKEN_APART = ("db", "username", "password", "socket_timeout", "socket_connect_timeout", "timeout")


def parse_server_url(url: str) -> ServerUrl:
    """Return *url* taken apart.

    Raises:
        ValueError: It cannot be used. The sentence names what is wrong, and shows nothing that may
            be a part of a password.
    """
    parts = _split(url)
    port, options = _port(parts), _options(parts)
    if parts.scheme == "unix":
        if parts.netloc.rpartition("@")[2] or parts.path in {"", "/"}:
            raise ValueError("the Redis URL names no socket; unix:///PATH has three slashes")
        database = None
    else:
        database = _database(parts.path)
    if None not in {database, options.db} and database != options.db:
        raise ValueError("the Redis URL names two databases, in its path and as ?db=; give one")
    return ServerUrl(
        scheme=parts.scheme,
        host="" if parts.scheme == "unix" else unquote(parts.hostname or "localhost"),
        port=port,
        socket=unquote(parts.path) if parts.scheme == "unix" else "",
        database=database or options.db or 0,
        username=_one_of(parts.username, options.username),
        password=_one_of(parts.password, options.password),
        options=options,
    )


def without_login(url: str) -> str:
    """Return *url*, whatever its scheme, without a user and a password before its host."""
    return re.sub(r"://[^/]*@", f"://{MASK}@", url)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"the Redis URL cannot be used; {_FORMS} can") from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"the Redis URL begins with no scheme that can be used; {_FORMS} can")
    if parts.fragment or "@" in parts.path + parts.query:
        # An @ there ends a password that was cut at a character with a meaning in URLs.
        raise ValueError(
            "the Redis URL has a / ? or # within its password, or an @ after its host;"
            " in a password and in options they are written %2F %3F %23 %40"
        )
    return parts


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or DEFAULT_PORT
    except ValueError:
        # The port is not shown: without an @ it may be a password.
        raise ValueError(
            f"the port of the Redis URL is not a number from 0 to 65535; {_FORMS} can be used"
        ) from None


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


def _options(parts: SplitResult) -> UrlOptions:
    given: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in UrlOptions.__struct_fields__:
            allowed = ", ".join(UrlOptions.__struct_fields__)
            raise ValueError(
                f"option {name} of the Redis URL is not allowed here; allowed are {allowed}"
            )
        if name in given:
            raise ValueError(f"option {name} of the Redis URL is given twice, the limit is once")
        given[name] = value
        if name.startswith("ssl_") and parts.scheme != "rediss":
            raise ValueError(f"option {name} of the Redis URL is for rediss://, which uses TLS")
    try:
        options = msgspec.convert(given, UrlOptions, strict=False)
    except msgspec.ValidationError as error:
        name, problem = place_of(error)
        raise ValueError(f"Redis URL: option {problem_of(name, problem, given[name])}") from None
    if parts.scheme == "rediss":
        _check_tls(options)
    return options


def _check_tls(options: UrlOptions) -> None:
    """Raise ValueError unless the files for TLS can be loaded."""
    context, folder = ssl.create_default_context(), options.ssl_ca_path
    if folder is not None and not Path(folder).is_dir():
        raise ValueError(f"option ssl_ca_path of the Redis URL: {folder} is no folder")
    if options.ssl_keyfile is not None and options.ssl_certfile is None:
        raise ValueError("option ssl_keyfile of the Redis URL needs ssl_certfile beside it")
    with _loading("ssl_ca_certs"):
        if options.ssl_ca_certs is not None:
            context.load_verify_locations(options.ssl_ca_certs)
    with _loading("ssl_certfile or ssl_keyfile"):
        if options.ssl_certfile is not None:
            # Without a password OpenSSL would ask for it at the terminal.
            password = options.ssl_password or ""
            context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile, password)


@contextmanager
def _loading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        words = (why or "no PEM of that kind").replace("_", " ").lower()
        raise ValueError(f"option {name} of the Redis URL cannot be loaded: {words}") from None


def _given(options: UrlOptions) -> Iterator[tuple[str, Any]]:
    for name in options.__struct_fields__:
        value = getattr(options, name)
        if value is not None:
            yield name, value
