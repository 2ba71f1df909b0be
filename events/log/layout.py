"""The layout: with how many partitions a log was made, and whether it was made at all."""

from collections.abc import Iterable

from events.errors import LayoutError
from events.log.keys import Keys
from events.server.server import Client

PARTITIONS_MAX = 1_024

_DIGITS_MAX = 9
_SHOWN_BYTES = 60


async def read_partitions(client: Client, keys: Keys) -> int | None:
    """Return with how many partitions the log was made, None where it was not.

    Raises:
        LayoutError: The layout does not tell.
    """
    return partitions_in(await client.call("HGET", keys.layout, "partitions"), keys)


def partitions_in(held: bytes | None, keys: Keys) -> int | None:
    """Return the number of partitions that the layout has *held*, None where there is none.

    Raises:
        LayoutError: It is no such number.
    """
    if held is None:
        return None
    if not held.isdigit() or len(held) > _DIGITS_MAX or not 1 <= int(held) <= PARTITIONS_MAX:
        shown = held[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
        raise LayoutError(
            f"field partitions of {keys.layout} is {shown!r}, not a number from 1 to"
            f" {PARTITIONS_MAX}; set it by `redis-cli HSET {keys.layout} partitions N` to as many"
            f" as `redis-cli --scan --pattern '{keys.events_pattern}'` lists"
        )
    return int(held)


async def log_exists(client: Client, keys: Keys, partitions: Iterable[int]) -> bool:
    """Whether there is a layout, or something where one of *partitions* would lie."""
    names = (keys.layout, *(keys.events(partition) for partition in partitions))
    return bool(await client.call("EXISTS", *names))
