"""The groups that routestream ships, and one process of such a group."""

import os
import socket
from collections.abc import Callable
from secrets import token_hex
from types import MappingProxyType

import anyio
import structlog

from consumers.consumer import Consumer, ConsumerSettings
from consumers.errors import UnknownGroupError
from consumers.processor import Processor
from consumers.projector import Projector
from consumers.stopping import stopping
from events.log import EventLog
from events.server import Server
from projections.health_state import HEALTH_STATE
from projections.route_table import ROUTE_TABLE

ProcessorFactory = Callable[[EventLog, int, ConsumerSettings], Processor]

GROUPS: MappingProxyType[str, ProcessorFactory] = MappingProxyType(
    {
        ROUTE_TABLE.name: lambda log, partition, settings: Projector(
            log, ROUTE_TABLE, partition, settings.policy
        ),
        HEALTH_STATE.name: lambda log, partition, settings: Projector(
            log, HEALTH_STATE, partition, settings.policy
        ),
    }
)
"""Each group's processor, by the group's name."""

_log = structlog.get_logger()


def check_group(name: str) -> str:
    """Return *name*, or raise UnknownGroupError naming those there are."""
    if name not in GROUPS:
        raise UnknownGroupError(f"group {name!r} is not one of {', '.join(GROUPS)}")
    return name


def new_consumer_name() -> str:
    """Return a name no other consumer has: two with one name would take each other's entries."""
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"


async def warn_of_weaknesses(server: Server) -> None:
    """Log what in the server's settings puts appended events at risk."""
    for weakness in await server.weaknesses():
        _log.warning("server_weak", server=server.address, what=weakness)


async def run_group(
    log: EventLog, group: str, consumer: str, settings: ConsumerSettings, *, supervised: bool
) -> None:
    """Consume all partitions for *group* as *consumer*, until a signal stops it."""
    processor = GROUPS[check_group(group)]
    await warn_of_weaknesses(log.server)
    consumers = [
        Consumer(log, p, (group, consumer), processor(log, p, settings), settings)
        for p in range(log.partitions)
    ]

    async def stop() -> None:
        async with anyio.create_task_group() as stops:
            for one in consumers:
                stops.start_soon(one.stop)

    _log.info(
        "process_started",
        group=group,
        consumer=consumer,
        server=log.server.address,
        namespace=log.keys.namespace,
        partitions=log.partitions,
    )
    async with stopping(stop, supervised=supervised), anyio.create_task_group() as running:
        for one in consumers:
            running.start_soon(one.run)
    _log.info("process_stopped", group=group, consumer=consumer)
