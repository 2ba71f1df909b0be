"""Entries of long ago, for tests of what may go: each a second after the one before."""

from events.entry.entry_id import EntryId
from events.log.log import EventLog

BEGAN_MS = 1_700_000_000_000
_STEP_MS = 1_000
_PIPED = 1_000


def old_id(number: int) -> EntryId:
    return EntryId(BEGAN_MS + number * _STEP_MS, 0)


async def add_old(log: EventLog, count: int, first: int = 0) -> None:
    """Add entries *first* to *first + count*, the oldest of 2023-11-14."""
    for at in range(first, first + count, _PIPED):
        pipeline = (await log.server.at(log.keys.events(0))).pipeline(transaction=False)
        for number in range(at, min(at + _PIPED, first + count)):
            pipeline.execute_command(
                "XADD", log.keys.events(0), str(old_id(number)), "name", "stray"
            )
        await pipeline.execute()


async def create(log: EventLog, group: str, start: str = "0") -> None:
    await log.server.client.execute_command(
        "XGROUP", "CREATE", log.keys.events(0), group, start, "MKSTREAM"
    )


async def read(log: EventLog, group: str, count: int, consumer: str = "c-1") -> list[EntryId]:
    """Let *consumer* be given *count* entries, which stay pending with it."""
    reply = await log.server.client.execute_command(
        *("XREADGROUP", "GROUP", group, consumer, "COUNT", count),
        *("STREAMS", log.keys.events(0), ">"),
    )
    return [EntryId.parse(entry_id) for entry_id, _ in reply[0][1]] if reply else []


async def acknowledge(log: EventLog, group: str, *ids: EntryId) -> None:
    await log.server.client.call("XACK", log.keys.events(0), group, *map(str, ids))


async def there(log: EventLog) -> list[EntryId]:
    return [entry.entry_id async for some in log.read_entries(0) for entry in some]


async def leave_group(log: EventLog, group: str) -> None:
    """Add 10 entries, and let the group, which has no consumer any more, have ended 6 of them."""
    await add_old(log, 10)
    await create(log, group)
    await acknowledge(log, group, *await read(log, group, 6))
    await log.server.client.execute_command(
        "XGROUP", "DELCONSUMER", log.keys.events(0), group, "c-1"
    )
