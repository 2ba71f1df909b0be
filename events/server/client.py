"""Send commands: to one server, or each to the server that has its key."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar

import anyio
import redis.exceptions as redis_errors
from redis.asyncio import Redis

from events.entry.entry_id import AFTER_END
from events.errors import ServerUnavailableError
from events.server.backoff import Backoff
from events.server.connection import SlotMovedError, keys_of, place_named
from events.server.places import Places, ServerPlace
from events.server.pool import NeverSentError, Pool
from events.server.reply import reply
from events.server.script import Script, script_text
from events.server.translation import translation

_ASCENDING = ("XRANGE", "XPENDING")
_RAW_REPLIES = (
    *("CLUSTER SLOTS", "CLUSTER SHARDS", "SENTINEL GET-MASTER-ADDR-BY-NAME"),
    *("XREAD", "XREADGROUP", "XRANGE", "XREVRANGE", "XCLAIM", "XPENDING"),
)

_CLOSE_TIMEOUT_S = 1.0
_HOPS_MAX = 3
_HALF_MOVED = Backoff(first_s=0.02, most_s=0.1)
_PAUSES_MAX = 12

T = TypeVar("T")


class Client(Protocol):
    """Sends commands that answer at once, and never repeats one whose reply was lost."""

    async def call(self, *command: object) -> object:
        """Send one command; see `translated` for what it raises, `reply` for what it returns."""

    async def execute_command(self, *command: Any) -> Any:  # noqa: ANN401 - nothing is promised
        """Send one command whose reply is of no known type."""

    async def together(self, *commands: Sequence[Any], atomic: bool = False) -> list[object]:
        """Send *commands*, all of one partition's keys, in one packet; return their replies.

        *atomic*: nothing happens in between. The first that was refused is raised.
        """

    def script(self, package: str, name: str) -> Script:
        """Return the script *name* of *package*, ready to be called."""


class NodeClient(Redis):
    """The client of one server; it never repeats a command by itself and raises our errors.

    Attributes:
        place: Where the server is.
    """

    place: ServerPlace
    connection_pool: Pool

    async def call(self, *command: object) -> object:
        """See `Client.call`."""
        if command[0] in _ASCENDING and AFTER_END in command:
            return []
        answer: object = await self.execute_command(*command)
        return answer

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Send one command for redis-py, which calls this itself; see `call`.

        What redis-py does here to repeat commands and to measure them is left out.
        """
        with translation(args):
            async with self._lent() as connection:
                await connection.send_command(*args)
                return await self.parse_response(connection, args[0], **options)

    async def together(
        self, *commands: Sequence[Any], atomic: bool = False, asking: bool = False
    ) -> list[object]:
        """See `Client.together`; *asking*: the keys are just moving here."""
        ask = [("ASKING",)] if asking else []
        packet = [word for command in commands for word in (*ask, command)]
        if atomic:
            packet = [*ask, ("MULTI",), *commands, ("EXEC",)]
        with translation():
            async with self._lent() as connection:
                await connection.send_packed_command(connection.pack_commands(packet))
                answers = [await _answer(connection) for _ in packet]
        if atomic:
            answers = _executed(answers)
        elif asking:
            answers = answers[1::2]
        return list(map(self._read, commands, answers))

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        """Lend a connection; one that failed is closed before it goes back."""
        pool = self.connection_pool
        connection = await pool.get_connection()
        try:
            yield connection
        except (redis_errors.ConnectionError, redis_errors.TimeoutError):
            await connection.disconnect()
            raise
        finally:
            await pool.release(connection)

    def _read(self, command: Sequence[Any], answer: object) -> object:
        """Return the answer as that of `call` would be; raise it if it is a refusal."""
        if isinstance(answer, Exception):
            with translation(command):
                raise answer
        callback = self.response_callbacks.get(command[0])
        return answer if callback is None else callback(answer)

    async def told(self, section: str) -> dict[str, object]:
        """Return what the server tells of itself in a *section* of INFO."""
        return reply(await self.call("INFO", section), dict[str, object])

    async def asking(self, *command: object) -> object:
        """Send a command for a key that is just moving here."""
        return (await self.together(command, asking=True))[0]

    async def cut(self) -> None:
        """End all connections at once, also those that are lent."""
        await self.connection_pool.cut()

    async def close_or_cut(self) -> None:
        """Close the connections, also where this task is cancelled; cut those that do not close."""
        with (
            anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True),
            suppress(redis_errors.RedisError, OSError),
        ):
            await self.aclose()
        with anyio.CancelScope(shield=True):
            await self.cut()

    def script(self, package: str, name: str) -> Script:
        """See `Client.script`."""
        return Script(self, script_text(package, name))

    @classmethod
    def of_pool(cls, pool: Any, place: ServerPlace) -> "NodeClient":  # noqa: ANN401 - redis-py's
        """Return a client that owns the connections of *pool*, all to *place*."""
        client = cls(connection_pool=pool)
        client.place = place
        client.auto_close_connection_pool = True
        for command in _RAW_REPLIES:
            client.response_callbacks[command] = _raw  # type: ignore[assignment]
        return client


async def _answer(connection: Any) -> object:  # noqa: ANN401 - redis-py's
    """Read one reply; a refusal is one, too, and others follow."""
    try:
        answer: object = await connection.read_response()
    except redis_errors.ResponseError as refusal:
        return refusal
    return answer


def _executed(answers: Sequence[object]) -> list[object]:
    """Return what a transaction of MULTI, commands and EXEC replied to the commands."""
    for answer in answers:
        if isinstance(answer, Exception):  # why all others were refused then, too
            with translation():
                raise answer
    [*_, executed] = answers
    return reply(executed, list[object])


def _raw(answer: object, **_options: object) -> object:
    """Return the reply unchanged: such replies are large, and callers parse them."""
    return answer


class RoutedClient:
    """Sends each command to the server that has its first key, wherever that has moved to.

    Only what certainly had no effect is sent again: what another server was to be asked for, or
    what belongs to keys that are just moving.
    """

    def __init__(self, places: Places, node: Callable[[ServerPlace], NodeClient]) -> None:
        self._places = places
        self._node = node

    async def call(self, *command: object) -> object:
        """See `Client.call`; a command without a key is sent by `Server.each`."""
        return await self._routed(
            command, lambda node: node.call(*command), lambda node: node.asking(*command)
        )

    async def execute_command(self, *command: Any) -> Any:  # noqa: ANN401 - nothing is promised
        """See `Client.execute_command`."""
        return await self.call(*command)

    async def together(self, *commands: Sequence[Any], atomic: bool = False) -> list[object]:
        """See `Client.together`."""
        return await self._routed(
            commands[0],
            lambda node: node.together(*commands, atomic=atomic),
            lambda node: node.together(*commands, atomic=atomic, asking=True),
        )

    def script(self, package: str, name: str) -> Script:
        """See `Client.script`."""
        return Script(self, script_text(package, name))

    async def _routed(
        self,
        command: Sequence[Any],
        send: Callable[[NodeClient], Awaitable[T]],
        ask: Callable[[NodeClient], Awaitable[T]],
    ) -> T:
        key = key_of(command, self._places)
        hops = pauses = 0
        while True:
            place = await self._places.of(key)
            try:
                return await send(self._node(place))
            except ServerUnavailableError as error:
                cause = error.__cause__
                is_elsewhere = isinstance(cause, SlotMovedError) or (
                    isinstance(cause, NeverSentError) and await self._places.of(key) != place
                )
                if is_elsewhere and hops < _HOPS_MAX:
                    hops += 1
                    continue
                if not _is_moving(cause) or pauses == _PAUSES_MAX:
                    raise
                pauses += 1
            if type(cause) is redis_errors.AskError:
                try:
                    return await ask(self._node(place_named(cause, place)))
                except ServerUnavailableError as error:
                    if not _is_moving(error.__cause__):
                        raise
            await anyio.sleep(_HALF_MOVED.delay_s(pauses))


def _is_moving(refusal: BaseException | None) -> bool:
    """Whether the keys are just moving, all of them or some."""
    return type(refusal) in {redis_errors.AskError, redis_errors.TryAgainError}


def key_of(command: Sequence[Any], places: Places) -> str:
    """Return the key by which *command* is routed.

    Raises:
        ValueError: It has none: then it has to be said which servers it is for.
    """
    keys = keys_of(command)
    if keys:
        return keys[0]
    if places.is_spread:
        raise ValueError(f"{command[0]} has no key: it is to be sent by Server.at or Server.each")
    return ""
