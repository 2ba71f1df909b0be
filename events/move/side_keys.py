"""Copy what lies beside a log and is not folded from it: names, and when routes were probed."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from uuid import UUID

from events.log.keys import partition_of
from events.log.log import EventLog
from events.server.reply import reply

RESULTS_MS = 600_000
"""How long the results of probes are kept, unless the health checkers write them anew."""

_CHUNK = 500


async def copy_side_keys(source: EventLog, target: EventLog) -> None:
    """Copy the names, the times of the last probes, and how those ended.

    Without them a name would count as free, and a route as one that nobody has probed, until that
    is known again.
    """
    ask, write = source.server.client.call, target.server.client.call
    names = reply(await ask("HGETALL", source.keys.names), dict[bytes, bytes])
    for chunk in _chunks([(name, holder) for name, holder in names.items()]):
        await write("HSET", target.keys.names, *chunk)
    for partition in range(source.partitions):
        raw = await ask("ZRANGE", source.keys.probed(partition), 0, -1, "WITHSCORES")
        times = reply(raw, list[bytes])
        probed = [(int(float(at)), member) for member, at in zip(*[iter(times)] * 2, strict=True)]
        for new, pairs in _by_partition(target, probed, member_at=1).items():
            for chunk in _chunks(pairs):
                await write("ZADD", target.keys.probed(new), *chunk)
        found = await ask("HGETALL", source.keys.probe_results(partition))
        results = list(reply(found, dict[bytes, bytes]).items())
        for new, pairs in _by_partition(target, results, member_at=0).items():
            for chunk in _chunks(pairs):
                await write("HSET", target.keys.probe_results(new), *chunk)
            await write("PEXPIRE", target.keys.probe_results(new), RESULTS_MS)


_Pair = tuple[bytes | int, bytes]


def _by_partition(
    target: EventLog, pairs: Iterable[_Pair], *, member_at: int
) -> dict[int, list[_Pair]]:
    """Divide *pairs*, of which one is `ENDPOINT:ROUTE`, by the endpoint's partition."""
    found: dict[int, list[_Pair]] = {}
    for pair in pairs:
        member = pair[member_at]
        with suppress(ValueError):  # what is no endpoint's means nothing
            endpoint = UUID(bytes(member).partition(b":")[0].decode("ascii", "replace"))
            found.setdefault(partition_of(endpoint, target.partitions), []).append(pair)
    return found


def _chunks(pairs: Sequence[_Pair]) -> Iterable[list[bytes | int]]:
    for start in range(0, len(pairs), _CHUNK):
        yield [word for pair in pairs[start : start + _CHUNK] for word in pair]
