"""Defines a group that `routestream consume` can run: its name, members and settings."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import msgspec

from consumers.errors import MissingSettingError
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_settings import HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.retention.snapshot_looks import SnapshotLooks, looking_for_snapshots
from consumers.runtime.consumer import Consumer
from consumers.runtime.processor import Handler
from consumers.runtime.progress import ConsumerProgress
from consumers.runtime.projector import Projector
from consumers.settings import Settings
from events.archive import open_archive
from events.catalogue.event import Event
from events.entry.entry_id import END, EntryId
from events.history.history import History
from events.log.log import EventLog
from projections.projection import Projection
from projections.snapshots.snapshot_store import Snapshots


class PartitionConsumer(Protocol):
    """A group's consumer in one partition.

    Unless it is told otherwise, the partition is its to consume.
    """

    @property
    def shares_freely(self) -> bool:
        """Whether several may consume one partition at a time."""

    @property
    def progress(self) -> ConsumerProgress:
        """What the consumer has done and does now."""

    async def run(self) -> None:
        """Consume until stopped."""

    async def stop(self) -> None:
        """Stop softly; return when that is done."""

    async def assign(self) -> None:
        """Consume the partition from now on."""

    async def withdraw(self) -> None:
        """Finish what is in flight, and stand by."""

    async def take_over(self, gone: str) -> None:
        """Take what is pending with the consumer *gone*, if the partition is ours to consume."""


Members = Callable[
    [EventLog, str, Settings], AbstractAsyncContextManager[Sequence[PartitionConsumer]]
]
"""Makes a group's members with one name, one for each partition, and what they depend on."""


class GroupPlace(msgspec.Struct, frozen=True):
    """Where a group reads: the log, and the name that the group has there."""

    log: EventLog
    group: str


Place = Callable[[EventLog, Settings], AbstractAsyncContextManager[GroupPlace]]
"""Opens the stream that a group reads, given the deployment's log."""


class GroupDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A group that can be run by its name.

    Attributes:
        name: The group's name in Redis, and on the command line.
        about: What it does, in a few words for the help.
        members: Makes the members of one process.
        section: The part of the settings that configures it, empty if there is none.
        missing_setting: Says in one sentence which setting it needs and lacks; None for none.
        foreign_place: Opens the stream that it reads; None: the deployment's log.
    """

    name: str
    about: str
    members: Members
    foreign_place: Place | None = None
    section: str = ""
    missing_setting: Callable[[Settings], str | None] = lambda _: None

    @asynccontextmanager
    async def place(self, log: EventLog, settings: Settings) -> AsyncIterator[GroupPlace]:
        """Open what the group reads; it must be set up with *settings*."""
        if self.foreign_place is None:
            yield GroupPlace(log, self.name)
            return
        async with self.foreign_place(log, settings) as place:
            yield place

    def check(self, settings: Settings) -> None:
        """Raise MissingSettingError if the group cannot run with *settings*."""
        if (problem := self.missing_setting(settings)) is not None:
            raise MissingSettingError(problem)


def projector_group(projection: Projection[Any]) -> GroupDefinition:
    """Define the group that folds *projection* into its read model."""

    @asynccontextmanager
    async def members(
        log: EventLog, name: str, all_settings: Settings
    ) -> AsyncIterator[list[Consumer]]:
        settings = all_settings.consumer
        archive = open_archive(all_settings.archive, log.keys.namespace)
        source = log if archive is None else History(log, archive)
        snapshots = [
            Snapshots(source, partition, all_settings.snapshots)
            for partition in range(log.partitions)
        ]
        consumers = []
        for one in snapshots:
            projector = Projector(log, projection, one.partition, settings.policy, one)
            await projector.look()
            member = (projection.read_model, name)
            consumers.append(Consumer(log, one.partition, member, projector, settings))
        async with looking_for_snapshots(SnapshotLooks(log, projection, name, snapshots)):
            yield consumers

    return GroupDefinition(
        name=projection.read_model,
        about=f"keeps the read model of the projection {projection.name}",
        members=members,
        section="consumer",
    )


def handler_group(  # noqa: PLR0913 - what the group does, and how
    name: str,
    handler: Handler,
    *,
    about: str,
    start: EntryId = END,
    wanted: Collection[type[Event]] | None = None,
    settings: HandlerSettings | None = None,
    missing_setting: Callable[[Settings], str | None] = lambda _: None,
) -> GroupDefinition:
    """Define a group that gives each event to *handler*, in order for each endpoint.

    An event whose handler raises is tried again after a wait, and ends as a dead letter, as
    *settings* say.

    Args:
        name: The group's name.
        handler: Does the work for one event.
        about: What the handler does, in a few words for the help.
        start: Where a new group begins: `START`, `END`, or after the given entry.
        wanted: The types that are handled, None for all; the others are skipped.
        settings: How many tries at a time, how often and how long.
        missing_setting: Says in one sentence which setting the group needs and lacks, None for
            none. It is asked before a run; `consume --all` leaves the group out if it lacks one.
    """
    work = HandlerWork.of(handler, wanted, start)

    @asynccontextmanager
    async def members(
        log: EventLog, consumer: str, _: Settings
    ) -> AsyncIterator[list[HandlerConsumer]]:
        yield [
            HandlerConsumer(log, partition, (name, consumer), work, settings or HandlerSettings())
            for partition in range(log.partitions)
        ]

    return GroupDefinition(name=name, about=about, members=members, missing_setting=missing_setting)
