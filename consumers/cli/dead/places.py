"""Finds where the dead letters of groups lie: beside the stream that the group reads."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from consumers.cli.terminal.options import partitions_of
from consumers.cli.terminal.output import NotFoundError
from consumers.group_definition import GroupPlace
from consumers.groups.requeue import Requeue
from consumers.runtime.dead_letters import DeadLetters
from consumers.settings import Settings
from consumers.shipped import GROUPS, set_up_groups
from events.log.log import EventLog
from events.streams.stream_group import read_groups


class DeadPlace(msgspec.Struct, frozen=True):
    """One partition of what a group reads.

    Attributes:
        group: What the group is called here.
        partition: The partition.
        reads: What it reads, and what it is called there.
        is_foreign: Whether that is another stream than the log.
    """

    group: str
    partition: int
    reads: GroupPlace
    is_foreign: bool = False

    @property
    def letters(self) -> DeadLetters:
        """The group's dead letters there."""
        log = self.reads.log
        return DeadLetters(log.server, log.keys, self.partition, self.reads.group)

    @property
    def requeue(self) -> Requeue:
        """What ends them."""
        return Requeue(self.reads.log, self.partition, self.reads.group)


class DeadPlaces:
    """Where the groups of a deployment keep their dead letters; `open_places` makes it.

    *foreign* are the groups that are set up to read other streams than *log*.
    """

    def __init__(
        self, log: EventLog, settings: Settings, foreign: Mapping[str, GroupPlace]
    ) -> None:
        self._log, self._settings, self._foreign = log, settings, foreign

    async def of(self, group: str | None, partition: int | None) -> list[DeadPlace]:
        """Return the places of *group*, or of all that are shipped or that the log has.

        Raises:
            NotFoundError: *group* is not known and has no dead letters.
            MissingSettingError: It reads another stream, and is not set up.
            click.UsageError: The log does not have the partition.
        """
        partitions = partitions_of(self._log, partition)
        places: list[DeadPlace] = []
        for name in await self._groups(group):
            if name in self._foreign and 0 in partitions:
                places.append(DeadPlace(name, 0, self._foreign[name], is_foreign=True))
            elif not _reads_another_stream(name):
                here = GroupPlace(self._log, name)
                places += (DeadPlace(name, number, here) for number in partitions)
        return places

    async def _groups(self, group: str | None) -> list[str]:
        if group is not None and group in GROUPS:
            if _reads_another_stream(group):
                GROUPS[group].check(self._settings)
            return [group]
        known = set(GROUPS)
        for partition in range(self._log.partitions):
            call, stream = self._log.server.client.call, self._log.keys.events(partition)
            known |= {one.name for one in await read_groups(call, stream)}
        if group is None:
            return sorted(known)
        if group not in known and not await self._has_dead(group):
            raise NotFoundError(f"group {group!r} is not one of {', '.join(sorted(known))}")
        return [group]

    async def _has_dead(self, group: str) -> bool:
        keys = [self._log.keys.dead(one, group) for one in range(self._log.partitions)]
        return any([await self._log.server.client.call("EXISTS", key) for key in keys])


@asynccontextmanager
async def open_places(log: EventLog, settings: Settings) -> AsyncIterator[DeadPlaces]:
    """Open what the groups read, beside *log*; other streams are connected to when first read."""
    async with AsyncExitStack() as stack:
        foreign = {
            name: await stack.enter_async_context(GROUPS[name].place(log, settings))
            for name in set_up_groups(settings)
            if _reads_another_stream(name)
        }
        yield DeadPlaces(log, settings, foreign)


def _reads_another_stream(group: str) -> bool:
    return group in GROUPS and GROUPS[group].foreign_place is not None
