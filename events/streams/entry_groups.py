"""The groups of an entry: which have ended it, with whom it is pending, who has not had it yet."""

from typing import Literal

import msgspec

from events.entry.entry_id import EntryId
from events.log.log import EventLog

EntryState = Literal["acknowledged", "pending", "not delivered"]
"""What a group has done with an entry.

Acknowledged: it lies at or before the group's last delivered entry and is not pending. Of a group
that was made later, or was moved past it, Redis says the same.
"""


class EntryGroup(msgspec.Struct, frozen=True):
    """What one group has done with an entry.

    Attributes:
        group: The group's name.
        state: What it has done.
        consumer: With whom it is pending.
        idle_ms: How long ago it was last delivered to that consumer.
        deliveries: How often it was delivered.
        last_error: What its last failed try ended with, None where it never failed.
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
    for about in await client.call("XINFO GROUPS", stream):
        group = about["name"].decode("utf-8", "backslashreplace")
        if entry_id > EntryId.parse(about["last-delivered-id"]):
            found.append(EntryGroup(group, "not delivered"))
            continue
        pending = await client.call("XPENDING", stream, about["name"], at, at, 1)
        if not pending:
            found.append(EntryGroup(group, "acknowledged"))
            continue
        [(_, consumer, idle_ms, deliveries)] = pending
        name = consumer.decode("utf-8", "backslashreplace")
        raw = await client.call("HGET", log.keys.errors(partition, group), at)
        error = None if raw is None else raw.decode("utf-8", "replace")
        found.append(EntryGroup(group, "pending", name, idle_ms, deliveries, error))
    return sorted(found, key=lambda one: one.group)
