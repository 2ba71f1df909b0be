"""The groups that routestream ships, and one process of such a group."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import Any, Protocol

from consumers.errors import UnknownGroupError
from consumers.runtime.consumer import Consumer
from consumers.runtime.progress import Progress
from consumers.runtime.projector import Projector
from consumers.settings import Settings
from consumers.webhook.webhook_group import WEBHOOK, check_webhook, webhook_consumers
from events.archive import open_archive
from events.history.history import History
from events.log.log import EventLog
from projections.catalogue import PROJECTIONS, READ_MODELS
from projections.projection import Projection
from projections.snapshots.snapshot_store import Snapshots


class Member(Protocol):
    """A group's consumer in one partition."""

    @property
    def progress(self) -> Progress:
        """What it has done and does now."""

    async def run(self) -> None:
        """Consume until stopped."""

    async def stop(self) -> None:
        """Stop softly; return when that is done."""


Members = Callable[[EventLog, str, Settings], AbstractAsyncContextManager[Sequence[Member]]]
"""Makes a group's members of one name, one for each partition, with all that they stand on."""


def _projecting(projection: Projection[Any]) -> Members:
    @asynccontextmanager
    async def members(log: EventLog, name: str, of: Settings) -> AsyncIterator[list[Consumer]]:
        settings = of.consumer
        archive = open_archive(of.archive, log.keys.namespace)
        source = log if archive is None else History(log, archive)
        yield [
            Consumer(
                log,
                partition,
                (projection.read_model, name),
                Projector(
                    log,
                    projection,
                    partition,
                    settings.policy,
                    Snapshots(source, partition, of.snapshots),
                ),
                settings,
            )
            for partition in range(log.partitions)
        ]

    return members


GROUPS: MappingProxyType[str, Members] = MappingProxyType(
    {
        **{group: _projecting(projection) for group, projection in READ_MODELS.items()},
        WEBHOOK: lambda log, name, settings: webhook_consumers(log, name, settings.webhook),
    }
)
"""What makes each group's members, by the group's name."""


def group_named(name: str) -> str:
    """Return the group that *name* stands for: its own name, or its projection's.

    So what starts a release's processes need not change with the version of a projection.

    Raises:
        UnknownGroupError: There is no such group; it names those there are.
    """
    group = PROJECTIONS[name].read_model if name in PROJECTIONS else name
    if group not in GROUPS:
        raise UnknownGroupError(f"group {name!r} is not one of {', '.join(GROUPS)}")
    return group


def check_settings(group: str, settings: Settings) -> None:
    """Raise MissingSettingError where *group* cannot run with *settings*."""
    if group == WEBHOOK:
        check_webhook(settings.webhook)


def set_up_groups(settings: Settings) -> list[str]:
    """Return the groups that can run with *settings*."""
    return [name for name in GROUPS if name != WEBHOOK or settings.webhook.url]
