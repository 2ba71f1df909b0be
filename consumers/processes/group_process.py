"""Runs one consumer of a group, in its share of the partitions, as a process with its metrics."""

import os
import socket
from collections.abc import Iterable
from secrets import token_hex

import anyio
import msgspec

from consumers.group_definition import GroupDefinition, PartitionConsumer
from consumers.membership.group_membership import GroupMembership, sharing
from consumers.monitoring.http import exposition
from consumers.monitoring.targets import ExposedConsumers
from consumers.processes.moved_log import LogMoves
from consumers.processes.registry import own_facts
from consumers.processes.stopping import give_signs, stopping
from consumers.settings import Settings
from consumers.shipped import GROUPS
from events.log.log import EventLog
from events.plugins import broken_plugins
from events.server.server import Server
from events.structured_logger import structured_logger
from projections.catalogue import READ_MODELS

_log = structured_logger(__name__)


def new_consumer_name() -> str:
    """Return a unique name: two consumers with one name would take each other's entries."""
    return f"{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"


def kept_consumer_name(slot: int) -> str:
    """Return a unique name for the processes that a supervisor starts one after another in *slot*.

    Each continues with the entries of the one before; so the name holds no process id.
    """
    return f"{socket.gethostname()}-slot{slot}-{token_hex(3)}"


async def warn_of_weaknesses(server: Server) -> None:
    """Log the server settings that put appended events at risk."""
    for weakness in await server.weaknesses():
        _log.warning("server_weak", server=server.address, what=weakness)


def warn_of_broken_plugins() -> None:
    """Look for all plugins, and log those that are skipped."""
    _ = GROUPS.installed
    for plugin in broken_plugins():
        _log.warning("plugin_skipped", **msgspec.structs.asdict(plugin))


async def stop_all(members: Iterable[PartitionConsumer], membership: GroupMembership) -> None:
    """Stop *members* softly, all at once, and leave the group; return when all have stopped."""
    async with anyio.create_task_group() as stops:
        for member in members:
            stops.start_soon(member.stop)
        stops.start_soon(membership.leave)


async def run_group(
    log: EventLog,
    group: GroupDefinition,
    consumer: str,
    settings: Settings,
    *,
    supervised: int | None,
) -> EventLog | None:
    """Consume for *group* as *consumer*, until a signal stops it; share with the other processes.

    Args:
        log: The log.
        group: The group.
        consumer: The consumer's name, which is also the process's.
        settings: All settings.
        supervised: How many processes the supervisor keeps for the group, None without one.

    Returns:
        The log with which it goes on if that has moved, None if it shall end.
    """
    # A projector goes on until the log has moved: folding an event at both places harms nothing.
    moves = LogMoves(log, pauses=group.name not in READ_MODELS)
    metrics = settings.metrics
    await warn_of_weaknesses(log.server)
    warn_of_broken_plugins()
    async with (
        group.place(log, settings) as place,
        group.members(log, consumer, settings) as members,
    ):
        _log.info(
            "process_started",
            group=group.name,
            consumer=consumer,
            server=log.server.address,
            namespace=log.keys.namespace,
            partitions=log.partitions,
        )
        progresses = [member.progress for member in members]
        lifetime_s = settings.membership.lifetime_s
        exposed = ExposedConsumers(
            log, progresses, metrics.vitals, checker_lifetime_s=lifetime_s, source=place.log
        )
        async with exposition(exposed, metrics) as url:
            facts = own_facts(wanted=supervised, metrics=url)
            async with (
                sharing(log, (group.name, consumer), facts, members) as membership,
                stopping(
                    lambda: stop_all(members, membership),
                    supervised=supervised is not None,
                    is_alive=exposed.is_alive,
                    moves=moves,
                ),
                anyio.create_task_group() as running,
            ):
                for member in members:
                    running.start_soon(member.run)
    _log.info("process_stopped", group=group.name, consumer=consumer)
    return await _next_log(moves, supervised=supervised is not None)


async def _next_log(moves: LogMoves, *, supervised: bool) -> EventLog | None:
    """Wait, maybe for long, for the log to go on with; give the supervisor signs meanwhile."""
    async with anyio.create_task_group() as signs:
        if supervised:
            signs.start_soon(give_signs)
        next_log = await moves.next_log()
        signs.cancel_scope.cancel()
    return next_log
