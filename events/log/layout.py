"""The layout of a log: how many partitions it has, and which log it is."""

import re
from collections.abc import Iterable, Sequence
from secrets import token_hex

import msgspec

from events.entry.stored_json import StoredJson
from events.errors import DamagedValueError, LayoutError, ServerRefusedError
from events.log.keys import PARTITIONS_MAX, Keys, check_partitions
from events.log.partitions import ask_each
from events.server.client import Client
from events.server.reply import reply, reply_or_none

_DIGITS_MAX = 9
_SHOWN_BYTES = 60
_IDENTITY = re.compile(rb"[0-9A-Za-z-]{8,64}")


class LogPlace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a log is that has moved.

    Attributes:
        namespace: Its namespace.
        url: Its server, without a user and a password: those of the server that it came from are
            taken there, too. None: the same server.
        ends: The newest entry of each partition when it moved.
    """

    namespace: str
    url: str | None = None
    ends: tuple[str, ...] = ()


_read_place = StoredJson(LogPlace)


class Layout(msgspec.Struct, frozen=True):
    """How a log was made.

    Attributes:
        partitions: The number of its partitions; it never changes.
        identity: Random, and never given to another log; None for a log of an earlier release that
            was not opened for writing since.
        is_complete: Whether every partition has the identity, too.
        copy_of: The identity of the log that is copied into this one, until that is done; nobody
            else may write to it.
        moved_to: Where the log is now, if it has moved.
    """

    partitions: int
    identity: str | None = None
    is_complete: bool = False
    copy_of: str | None = None
    moved_to: LogPlace | None = None


async def read_layout(client: Client, keys: Keys) -> Layout | None:
    """Return the layout of the log, None if there is no such log.

    Raises:
        LayoutError: The layout holds no valid number or identity, or is missing although keys of
            the log are there.
    """
    layout = await held_layout(client, keys)
    if layout is None:
        await _refuse_remains(client, keys)
    return layout


async def held_layout(client: Client, keys: Keys) -> Layout | None:
    """Return the layout, None if there is none, whatever else there is.

    Raises:
        LayoutError: It holds no valid number or identity.
    """
    held = reply(await client.call("HGETALL", keys.layout), dict[bytes, bytes])
    partitions = partitions_in(held.get(b"partitions"), keys)
    if partitions is None:
        return None
    identity = identity_in(held.get(b"identity"), keys.layout)
    copy_of = identity_in(held.get(b"copy-of"), keys.layout)
    moved_to = place_in(held.get(b"moved-to"), keys)
    return Layout(partitions, identity, b"complete" in held, copy_of, moved_to)


async def keep_layout(client: Client, keys: Keys, layout: Layout) -> Layout:
    """Write *layout* and give it an identity, as far as that is missing; return what is there.

    Writers at the same time, and one that was killed in between, end with the same layout. An
    identity that a partition still has is not replaced by a new one.

    Raises:
        LayoutError: Another writer made the log with another number of partitions.
    """
    identity = layout.identity or await _kept_identity(client, keys, layout.partitions)
    script = client.script("events.log", "keep_layout")
    partitions, held = reply(
        await script(
            [keys.layout],
            [layout.partitions, identity or token_hex(16), layout.copy_of or ""],
        ),
        tuple[bytes, bytes],
    )
    made_with = partitions_in(partitions, keys)
    if made_with != layout.partitions:
        raise other_partitions(keys, made_with, layout.partitions)

    async def note_identity(partition: int) -> None:
        await client.call("HSETNX", keys.identity(partition), "identity", held)

    await ask_each(range(layout.partitions), note_identity)
    await client.call("HSET", keys.layout, "complete", 1)
    identity = identity_in(held, keys.layout)
    return msgspec.structs.replace(layout, identity=identity, is_complete=True)


async def create_layout(
    client: Client, keys: Keys, partitions: int, *, copy_of: str | None = None
) -> Layout:
    """Create a log that does not exist yet, with *partitions*, and return its layout.

    With *copy_of*, the identity of another log, nobody can write to it until that is copied.

    Raises:
        LayoutError: The log exists, or another program created it at the same moment; keys of it
            are there without a layout; or no log can have that many partitions.
    """
    wanted = Layout(check_partitions(partitions), token_hex(16), copy_of=copy_of)
    held = await read_layout(client, keys)
    if held is None:
        held = await keep_layout(client, keys, wanted)
    if held.identity != wanted.identity:
        raise LayoutError(
            f"the log {keys.namespace!r} exists, with {held.partitions} partitions; nothing was"
            " changed"
        )
    return held


def other_partitions(keys: Keys, made_with: int | None, wanted: int | None) -> LayoutError:
    """Return the error for a log that is to be opened with another number of partitions."""
    return LayoutError(
        f"partitions: the log {keys.namespace!r} was made with {made_with},"
        f" it cannot be opened with {wanted}"
    )


async def read_identity(client: Client, keys: Keys, partition: int) -> str | None:
    """Return the identity of the log that *partition* belongs to, None if it has none.

    None in a log whose layout is complete means that the partition's keys are gone.

    Raises:
        LayoutError: The value is not an identity.
    """
    held = await client.call("HGET", keys.identity(partition), "identity")
    return identity_in(reply_or_none(held, bytes), keys.identity(partition))


async def _kept_identity(client: Client, keys: Keys, partitions: int) -> str | None:
    """Return the identity that the first partition still having one has."""
    for partition in range(partitions):
        identity = await read_identity(client, keys, partition)
        if identity is not None:
            return identity
    return None


async def _refuse_remains(client: Client, keys: Keys) -> None:
    """Raise LayoutError if there are keys of a log: a log whose layout is missing is not a new one.

    Whoever made it anew would have it with another number of partitions, or as another log.
    """

    async def count(partition: int) -> int:
        return reply(await client.call("EXISTS", *remains_of(keys, [partition])), int)

    try:
        remains = reply(await client.call("EXISTS", *remains_of(keys)), int)
    except ServerRefusedError:  # a cluster counts no keys of several slots at once
        remains = sum((await ask_each(range(PARTITIONS_MAX), count)).values())
    if remains:
        raise LayoutError(
            f"the log {keys.namespace!r} has lost its layout, the key {keys.layout}, but"
            f" {remains} of its keys are there; nothing is made anew over them:"
            " `routestream doctor` says how to write the layout again"
        )


def remains_of(keys: Keys, partitions: Iterable[int] = range(PARTITIONS_MAX)) -> list[str]:
    """Return the keys by which a log is known that has no layout."""
    kinds = (keys.identity, keys.events, keys.heads, keys.positions, keys.generations)
    return [key(partition) for partition in partitions for key in kinds]


def partitions_in(held: bytes | None, keys: Keys) -> int | None:
    """Return the number of partitions that the layout held, None if it held none.

    Raises:
        LayoutError: It is not a number that a log can have.
    """
    if held is None:
        return None
    if not held.isdigit() or len(held) > _DIGITS_MAX or not 1 <= int(held) <= PARTITIONS_MAX:
        raise LayoutError(
            f"field partitions of {keys.layout} is {_shown(held)}, not a number from 1 to"
            f" {PARTITIONS_MAX}; set it by `redis-cli HSET {keys.layout} partitions N` to as many"
            f" as `redis-cli --scan --pattern '{keys.events_pattern}'` lists"
        )
    return int(held)


def place_in(held: bytes | None, keys: Keys) -> LogPlace | None:
    """Return the place that the field `moved-to` held, None if it held none.

    Raises:
        LayoutError: It is not a place.
    """
    try:
        return None if held is None else _read_place(held)
    except DamagedValueError as error:
        raise LayoutError(f"field moved-to of {keys.layout} is no place: {error}") from None


def identity_in(held: bytes | None, key: str) -> str | None:
    """Return the identity that the field `identity` of *key* held, None if it held none.

    Raises:
        LayoutError: It is not an identity.
    """
    if held is None:
        return None
    if not _IDENTITY.fullmatch(held):
        raise LayoutError(
            f"field identity of {key} is {_shown(held)}, not 8 to 64 letters and digits;"
            f" `redis-cli HDEL '{key}' identity` takes it away, and the next start of a consumer"
            " writes it again"
        )
    return held.decode()


async def log_exists(client: Client, keys: Keys, partitions: Iterable[int]) -> bool:
    """Whether there is a layout, or a key where one of *partitions* would lie."""
    names = (keys.layout, *(keys.events(partition) for partition in partitions))
    return await _count(client, names) > 0


async def _count(client: Client, names: Sequence[str]) -> int:
    """Return how many of the keys *names* are there."""
    try:
        return reply(await client.call("EXISTS", *names), int)
    except ServerRefusedError:
        # A cluster counts no keys of several slots at once.
        return sum([reply(await client.call("EXISTS", name), int) for name in names])


def _shown(held: bytes) -> str:
    return repr(held[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"))
