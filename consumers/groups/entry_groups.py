"""Reads what each group has done with an entry: ended, given up, pending or not delivered yet."""

from typing import Literal

import msgspec

from consumers.runtime.dead_letters import DeadLetters
from consumers.runtime.last_errors import LastErrors
from events.entry.entry_id import EntryId
from events.log.log import EventLog
from events.streams.stream_group import StreamGroup, read_groups, read_pending

EntryState = Literal["acknowledged", "dead letter", "pending", "not delivered"]
"""What a group has done with an entry.

Acknowledged: it lies at or before the group's last delivered entry, is not pending, and is not
among the group's dead letters. Redis says the same of a group that was created after the entry, or
was moved past it. Dead letter: the group has given it up.
"""


class EntryGroup(msgspec.Struct, frozen=True):
    """What one group has done with an entry.

    Attributes:
        group: The group's name.
        state: What it has done.
        consumer: The consumer with which it is pending, or which gave it up.
        idle_ms: Milliseconds since it was last delivered to the consumer with which it is pending.
        deliveries: How often it was delivered.
        last_error: The error of its last failed try, None if no try failed; of a dead letter its
            reason, too.
        dead_id: The id of the dead letter.
    """

    group: str
    state: EntryState
    consumer: str | None = None
    idle_ms: int | None = None
    deliveries: int | None = None
    last_error: str | None = None
    dead_id: EntryId | None = None


async def read_entry_groups(log: EventLog, partition: int, entry_id: EntryId) -> list[EntryGroup]:
    """Return what each group of the partition has done with the entry, by the groups' names."""
    groups = await read_groups(log.server.client.call, log.keys.events(partition))
    found = [await _read(log, partition, group, entry_id) for group in groups]
    return sorted(found, key=lambda group: group.group)


async def _read(log: EventLog, partition: int, group: StreamGroup, entry_id: EntryId) -> EntryGroup:
    call, stream, at = log.server.client.call, log.keys.events(partition), str(entry_id)
    name = group.name
    if entry_id > group.last_delivered:
        return EntryGroup(name, "not delivered")
    pending = await read_pending(call, stream, group.raw_name, count=1, start=at, end=at)
    if pending:
        [entry] = pending
        errors = await LastErrors(log.server, log.keys, partition, name).of([entry_id])
        error = errors.get(entry_id)
        return EntryGroup(name, "pending", entry.consumer, entry.idle_ms, entry.deliveries, error)
    letter = await DeadLetters(log.server, log.keys, partition, name).of_entry(entry_id)
    if letter is None:
        return EntryGroup(name, "acknowledged")
    return EntryGroup(
        group=name,
        state="dead letter",
        consumer=letter.consumer,
        deliveries=letter.deliveries,
        last_error=": ".join(filter(None, (letter.reason, letter.error))),
        dead_id=letter.dead_id,
    )
