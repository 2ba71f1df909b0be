"""Read what each group has done with an entry: acknowledged, pending or not delivered yet."""

from typing import Literal

import msgspec

from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.server.reply import reply_or_none
from events.streams.stream_group import read_groups, read_pending

EntryState = Literal["acknowledged", "pending", "not delivered"]
"""What a group has done with an entry.

Acknowledged: it lies at or before the group's last delivered entry and is not pending. Redis says
the same of a group that was created after the entry, or was moved past it.
"""


class EntryGroup(msgspec.Struct, frozen=True):
    """What one group has done with an entry.

    Attributes:
        group: The group's name.
        state: What it has done.
        consumer: The consumer with which it is pending.
        idle_ms: Milliseconds since it was last delivered to that consumer.
        deliveries: How often it was delivered.
        last_error: The error of its last failed try, None if no try failed.
    """

    group: str
    state: EntryState
    consumer: str | None = None
    idle_ms: int | None = None
    deliveries: int | None = None
    last_error: str | None = None


async def read_entry_groups(log: EventLog, partition: int, entry_id: EntryId) -> list[EntryGroup]:
    """Return what each group of the partition has done with the entry, by the groups' names."""
    client, stream, at = log.server.client, log.keys.events(partition), str(entry_id)
    found = []
    for group in await read_groups(client.call, stream):
        name = group.name
        if entry_id > group.last_delivered:
            found.append(EntryGroup(name, "not delivered"))
            continue
        pending = await read_pending(client.call, stream, group.raw_name, count=1, start=at, end=at)
        if not pending:
            found.append(EntryGroup(name, "acknowledged"))
            continue
        [entry] = pending
        answer = await client.call("HGET", log.keys.errors(partition, name), at)
        raw = reply_or_none(answer, bytes)
        error = None if raw is None else raw.decode("utf-8", "replace")
        found.append(
            EntryGroup(name, "pending", entry.consumer, entry.idle_ms, entry.deliveries, error)
        )
    return sorted(found, key=lambda group: group.group)
