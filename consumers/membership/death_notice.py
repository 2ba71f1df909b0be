"""Tells a group that one of its processes has died: for whoever has seen it end."""

from consumers.group_definition import GroupDefinition
from consumers.handlers.lease import release_lease
from consumers.membership.group_membership import tell_of_change
from consumers.settings import Settings
from events.log.log import EventLog


async def tell_of_death(
    log: EventLog, group: GroupDefinition, consumer: str, settings: Settings
) -> None:
    """Free what the process *consumer* of *group* had, and let the others take it at once.

    Call it only for a process that has ended: the others would work beside one that lives.
    """
    async with group.place(log, settings) as place:
        for partition in range(place.log.partitions):
            member = (place.group, consumer)
            await release_lease(place.log.server, place.log.keys, partition, member)
    await tell_of_change(log, consumer)
