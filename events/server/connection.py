"""A connection that sends within its timeout, and reports when nothing was sent."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import anyio
import redis.exceptions as redis_errors
from hiredis import pack_command
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from events.server.credentials import Admission, PasswordFile
from events.server.places import Places, ServerPlace
from events.server.pool import NeverSentError, Pool
from events.server.settings import ServerSettings

_READ_BYTES = 262_144
_OF_A_SENTINEL = 4

_SPEAK_AGAINST = (
    redis_errors.ConnectionError,  # includes LOADING and refused logins
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.ClusterDownError,
    OSError,
)


class Dialled(AbstractConnection):
    """A connection that distinguishes a failure to connect from a reply that never came.

    Attributes:
        noted: Called with every failure of the connection or of the server behind it.
        is_left: Tells that the server is the master no more, so that nothing may be sent to it.
        admission: Remembers whether the server, and the others of its deployment, let us in.
    """

    noted: Callable[[Exception], None] | None = None
    is_left: Callable[[], bool] | None = None
    admission: Admission | None = None

    async def connect(self) -> None:
        """Connect, and log in.

        Raises:
            NeverSentError: There is no connection to send on.
            NoEntryError: The server refuses what the URL asks for, such as its database.
        """
        await self._refuse_who_is_left()
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        except redis_errors.AuthenticationError as error:
            self._note(error)
            if self.admission is not None and self.admission.is_awaited():
                raise NeverSentError(str(error)) from error
            raise
        except (redis_errors.ResponseError, redis_errors.InvalidResponse) as error:
            raise NoEntryError(str(error)) from error
        except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError) as error:
            self._note(error)
            raise NeverSentError(str(error)) from error
        await self._refuse_who_is_left()  # since it was dialled, perhaps
        if self.admission is not None:
            self.admission.note()

    async def _refuse_who_is_left(self) -> None:
        if self.is_left is not None and self.is_left():
            await self.disconnect(nowait=True)
            raise NeverSentError("another server is the master now")

    async def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Read one reply.

        Raises:
            SlotMovedError: Another server has the key, and whoever routes by keys has been told.
        """
        try:
            return await super().read_response(*args, **options)
        except (redis_errors.RedisError, OSError) as error:
            self._note(error)
            if self.noted is not None and type(error) is redis_errors.MovedError:
                raise SlotMovedError(str(error)) from None
            raise

    def _note(self, error: Exception) -> None:
        if self.noted is not None:
            self.noted(error)

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Log in, also where the connection cannot be named: no right to it, or no such command."""
        name, self.client_name = self.client_name, None
        try:
            await super().on_connect_check_health(check_health)
        finally:
            self.client_name = name
        with suppress(redis_errors.ResponseError):
            await self.send_command("CLIENT", "SETNAME", name, check_health=False)
            await self.read_response()

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ANN401, FBT001, FBT002 - redis-py's
        """Write the command within the timeout of the socket, in the calling task.

        redis-py writes in a task of its own, under `asyncio.wait_for`: before Python 3.12 that
        swallows a cancellation which comes while the command is written.
        """
        if not self.is_connected:
            await self.connect()
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            with anyio.fail_after(limit_s):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            raise redis_errors.TimeoutError("the command could not be sent in time") from None
        finally:
            self.socket_timeout = limit_s

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401 - what Redis takes
        """Let hiredis write the command too: an apply has thousands of arguments."""
        first, *others = args
        words = first.split() if isinstance(first, str | bytes) else [first]
        try:
            return [pack_command((*words, *others))]
        except UnicodeEncodeError:  # a key may have bytes that are no text
            return [pack_command(tuple(map(_bytes_of, (*words, *others))))]


def _bytes_of(word: Any) -> Any:  # noqa: ANN401 - what Redis takes
    return word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word


class RenewedTls(SSLConnection):
    """Reads the files for TLS at each connect, so that renewed ones are taken without a restart."""

    def _connection_arguments(self) -> Mapping[str, Any]:
        self.ssl_context.context = None
        return super()._connection_arguments()

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Log in. With TLS 1.3 it is only then that a server refuses who has no certificate."""
        try:
            await super().on_connect_check_health(check_health)
        except (redis_errors.ConnectionError, OSError) as error:
            is_told = isinstance(error.__cause__ or error, ssl.SSLError)
            is_answered = isinstance(error, redis_errors.ConnectionError) and (
                type(error) is not redis_errors.ConnectionError
            )
            if is_told or is_answered or self.ssl_context.certfile is not None:
                raise
        else:
            return
        raise redis_errors.ConnectionError(
            "the server ended the connection as soon as TLS was set up; if it wants a certificate"
            " of ours, ssl_certfile=FILE in its URL names it"
        )


class Connections:
    """Makes pools of connections with the options and the login of one URL.

    Args:
        settings: The URL, and what stands beside it.
        places: Hears what speaks against a place; None where there is no other.
    """

    def __init__(self, settings: ServerSettings, places: Places | None = None) -> None:
        self._settings = settings
        self._url = settings.server_url
        self._places = places
        self._admitted: set[ServerPlace] = set()
        self._admissions: dict[ServerPlace, Admission] = {}
        self.timeout_s = self._url.options.socket_timeout or settings.timeout_s

    def pool(self, place: ServerPlace, count: int, timeout_s: float | None = None) -> Pool:
        """Return a pool of *count* connections to *place*; a reply may take *timeout_s*."""
        return self._pool(place, count, timeout_s or self.timeout_s, self._login())

    def sentinel_pool(self, place: ServerPlace) -> Pool:
        """Return a pool of connections to a sentinel, which has a login of its own."""
        options = self._url.options
        login = {**self._login(), "username": options.sentinel_username}
        login |= {"password": options.sentinel_password, "db": 0, "credential_provider": None}
        return self._pool(place, _OF_A_SENTINEL, self.timeout_s, login)

    def _pool(
        self, place: ServerPlace, count: int, timeout_s: float, login: Mapping[str, Any]
    ) -> Pool:
        options = self._url.options
        return Pool(
            connection_class=self._class(place),
            max_connections=count,
            timeout=options.timeout or timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=options.socket_connect_timeout or self.timeout_s,
            socket_read_size=_READ_BYTES,
            retry=Retry(NoBackoff(), 0),
            **({"host": place.host, "port": place.port} if place.port else {"path": place.host}),
            **{"protocol": 2, "client_name": "routestream", **login},
        )

    def _class(self, place: ServerPlace) -> Any:  # noqa: ANN401 - redis-py's
        """Return the class of connections to *place*, which say what speaks against it."""
        kind = RenewedTls if self._url.has_tls else Connection
        bases = (Dialled, kind if place.port else UnixDomainSocketConnection)
        places = self._places
        if places is None:
            return type("Dialled", bases, {})
        noted = staticmethod(lambda error: note(error, place, places))
        is_left = staticmethod(lambda: places.is_left(place))
        admission = self._admissions.setdefault(place, Admission(place, self._admitted))
        return type("Dialled", bases, {"noted": noted, "is_left": is_left, "admission": admission})

    def _login(self) -> dict[str, Any]:
        options, file = self._url.connection_options, self._settings.password_file
        if file is None:
            return options
        login = {"password": None, "credential_provider": PasswordFile(options["username"], file)}
        return {**options, **login, "username": None}


def note(error: Exception, place: ServerPlace, places: Places) -> None:
    """Tell *places* what *error* of a connection to *place* means for where keys lie."""
    if isinstance(error, redis_errors.MovedError):
        places.moved(error.slot_id, place_named(error, place))
    elif isinstance(error, _SPEAK_AGAINST) or str(error).startswith(("UNBLOCKED", "NOREPLICAS")):
        places.doubt(place)


def place_named(error: redis_errors.AskError, asked: ServerPlace) -> ServerPlace:
    """Return the place that MOVED or ASK names; without a host it is that of whom was asked."""
    return ServerPlace(asked.host if error.host in {"", "?"} else error.host, error.port)


class SlotMovedError(redis_errors.MovedError):
    """Another server has the key now, and it is known which: the next try goes there."""


class NoEntryError(redis_errors.ResponseError):
    """The server refused the connection while it was set up: nothing can be sent on it."""


_SCRIPTS = ("EVAL", "EVALSHA")


_READS = ("XREAD", "XREADGROUP")


_WITH_SUBCOMMAND = ("XINFO", "XGROUP", "MEMORY", "OBJECT")


_WITHOUT_KEY = frozenset(
    ("ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "INFO", "KEYS", "PING", "PUBLISH", "SCAN")
) | {"TIME", "WAIT", "WAITAOF"}


def keys_of(command: Sequence[Any]) -> list[str]:
    """Return the keys that *command* names; none if it is about a server as a whole."""
    words = [*_text(command[0]).split(), *command[1:]]
    name = words[0].upper()
    if name in _WITHOUT_KEY:
        return []
    if name in _SCRIPTS:
        keys = words[3 : 3 + int(words[2])]
    elif name in _READS:
        streams = words[words.index("STREAMS") + 1 :]
        keys = streams[: len(streams) // 2]
    else:
        at = 2 if name in _WITH_SUBCOMMAND else 1
        keys = words[at : at + 1]
    return [_text(key) for key in keys]


def _text(word: object) -> str:
    return word.decode("utf-8", "backslashreplace") if isinstance(word, bytes) else str(word)
