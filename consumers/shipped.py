"""The groups that routestream ships, and one process of such a group."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from secrets import token_hex
from types import MappingProxyType
from typing import Any, Protocol

import anyio
import structlog

from consumers.errors import UnknownGroupError
from consumers.monitoring.http import exposition
from consumers.monitoring.targets import ExposedConsumers
from consumers.processes.stopping import stopping
from consumers.runtime.consumer import Consumer
from consumers.runtime.progress import Progress
from consumers.runtime.projector import Projector
from consumers.settings import Settings
from consumers.webhook.webhook_group import WEBHOOK, check_webhook, webhook_consumers
from events.archive import open_archive
from events.history.history import History
from events.log.log import EventLog
from events.server.server import Server
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

_log = structlog.get_logger()


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


def new_consumer_name() -> str:
    """Return a name no other consumer has: two with one name would take each other's entries."""
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"


async def warn_of_weaknesses(server: Server) -> None:
    """Log what in the server's settings puts appended events at risk."""
    for weakness in await server.weaknesses():
        _log.warning("server_weak", server=server.address, what=weakness)


async def run_group(
    log: EventLog, group: str, consumer: str, settings: Settings, *, supervised: bool
) -> None:
    """Consume all partitions for *group* as *consumer*, until a signal stops it."""
    metrics = settings.metrics
    await warn_of_weaknesses(log.server)
    async with GROUPS[group](log, consumer, settings) as members:

        async def stop() -> None:
            async with anyio.create_task_group() as stops:
                for one in members:
                    stops.start_soon(one.stop)

        _log.info(
            "process_started",
            group=group,
            consumer=consumer,
            server=log.server.address,
            namespace=log.keys.namespace,
            partitions=log.partitions,
        )
        progresses = [one.progress for one in members]
        async with (
            exposition(ExposedConsumers(log, progresses, metrics.vitals), metrics),
            stopping(stop, supervised=supervised),
            anyio.create_task_group() as running,
        ):
            for one in members:
                running.start_soon(one.run)
    _log.info("process_stopped", group=group, consumer=consumer)
