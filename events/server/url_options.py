"""The options in the query of a server's URL."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from events.limits import Limited, place_of, problem_of
from events.masks import hidden

DATABASE_MAX = 65_535

WITH_TLS = ("rediss", "sentinels", "clusters")
"""The schemes of URLs that use TLS."""

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
        sentinel_username: The user at the sentinels; else they ask for none.
        sentinel_password: The password at the sentinels.
    """

    SECRETS = MappingProxyType(
        dict.fromkeys(("password", "ssl_password", "sentinel_password"), hidden)
    )

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
    sentinel_username: Text | None = None
    sentinel_password: Text | None = None


def options_of(scheme: str, query: str) -> UrlOptions:
    """Return what the query of a URL sets.

    Raises:
        ValueError: It sets what is not allowed, or files for TLS that cannot be loaded.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in UrlOptions.__struct_fields__:
            allowed = ", ".join(UrlOptions.__struct_fields__)
            raise ValueError(
                f"option {name} of the Redis URL is not allowed here; allowed are {allowed}"
            )
        if name in given:
            raise ValueError(f"option {name} of the Redis URL is given twice, the limit is once")
        given[name] = value
        if name.startswith("sentinel_") and not scheme.startswith("sentinel"):
            raise ValueError(f"option {name} of the Redis URL is for sentinel://, which has some")
        if name.startswith("ssl_") and scheme not in WITH_TLS:
            raise ValueError(f"option {name} of the Redis URL is for rediss://, which uses TLS")
    try:
        options = msgspec.convert(given, UrlOptions, strict=False)
    except msgspec.ValidationError as error:
        name, problem = place_of(error)
        raise ValueError(f"Redis URL: option {problem_of(name, problem, given[name])}") from None
    if scheme in WITH_TLS:
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


def given(options: UrlOptions) -> Iterator[tuple[str, Any]]:
    """Yield the options that were given."""
    for name in options.__struct_fields__:
        value = getattr(options, name)
        if value is not None:
            yield name, value
