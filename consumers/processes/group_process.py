"""The group process: one consumer of a group in all partitions, with its metrics."""

import os
import socket
from secrets import token_hex

import anyio

from consumers.group_definition import GroupDefinition
from consumers.monitoring.http import exposition
from consumers.monitoring.targets import ExposedConsumers
from consumers.processes.stopping import stopping
from consumers.settings import Settings
from events.log.log import EventLog
from events.server.server import Server
from events.structured_logger import structured_logger

_log = structured_logger(__name__)


def new_consumer_name() -> str:
    """Return a name no other consumer has: two with one name would take each other's entries."""
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"


async def warn_of_weaknesses(server: Server) -> None:
    """Log what in the server's settings puts appended events at risk."""
    for weakness in await server.weaknesses():
        _log.warning("server_weak", server=server.address, what=weakness)


async def run_group(
    log: EventLog, group: GroupDefinition, consumer: str, settings: Settings, *, supervised: bool
) -> None:
    """Consume all partitions for *group* as *consumer*, until a signal stops it."""
    metrics = settings.metrics
    await warn_of_weaknesses(log.server)
    async with group.members(log, consumer, settings) as members:

        async def stop() -> None:
            async with anyio.create_task_group() as stops:
                for one in members:
                    stops.start_soon(one.stop)

        _log.info(
            "process_started",
            group=group.name,
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
    _log.info("process_stopped", group=group.name, consumer=consumer)
