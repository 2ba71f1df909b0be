"""Runs a handler group inside a program of your own."""

import logging
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskStatus

from consumers.errors import TakenNameError
from consumers.group_definition import PartitionConsumer
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_settings import HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.membership.group_membership import GroupMembership, sharing
from consumers.monitoring.http import exposition
from consumers.monitoring.settings import MetricsSettings
from consumers.monitoring.targets import ExposedConsumers
from consumers.processes.group_process import new_consumer_name, stop_all
from consumers.processes.registry import own_facts
from consumers.processes.stopping import SOFT_STOP_TIMEOUT_S
from consumers.runtime.processor import Handler
from consumers.shipped import RESERVED, SHIPPED
from events.background import in_background
from events.catalogue.event import Event
from events.entry.entry_id import END, EntryId
from events.log.log import EventLog

# The program that uses this library decides what happens to its log records.
logging.getLogger("consumers").addHandler(logging.NullHandler())


@asynccontextmanager
async def open_group(  # noqa: PLR0913 - what the group does, and how it runs
    log: EventLog,
    name: str,
    handler: Handler,
    *,
    start: EntryId = END,
    wanted: Collection[type[Event]] | None = None,
    settings: HandlerSettings | None = None,
    metrics: MetricsSettings | None = None,
) -> AsyncIterator[ExposedConsumers]:
    """Call *handler* with the events of *log* while the block runs.

    The group *name* keeps its position in Redis, and shares the partitions with every other process
    that runs it. The events of one endpoint come in their order. An event whose handler raises is
    tried again after a wait, and ends as a dead letter; after a crash it may come twice.

    When the block is entered the group exists: it misses nothing that is appended from then on.
    When the block is left, no further try begins, and running tries have up to
    `SOFT_STOP_TIMEOUT_S` seconds to end; the next consumer repeats those that are cancelled then.

    Args:
        log: The log whose events are handled, all partitions of it.
        name: The group's name: one that no shipped group has.
        handler: Does the work for one event; see `consumers.errors` for what it may raise.
        start: Where a new group begins: `START`, `END`, or after the given entry.
        wanted: The types that are handled, None for all; the others are skipped.
        settings: How many tries at a time, how often and how long; see `HandlerSettings`.
        metrics: Where `/metrics`, `/livez` and `/readyz` are served, None for nowhere. The
            yielded object returns the same.

    Raises:
        TakenNameError: A shipped group has that name.
        ServerUnavailableError: There is no server when the block is entered.
    """
    if name in RESERVED or name in {group.name for group in SHIPPED}:
        raise TakenNameError(f"group {name!r} is one of routestream's own; choose another name")
    work = HandlerWork.of(handler, wanted, start)
    consumer = new_consumer_name()
    members = [
        HandlerConsumer(log, partition, (name, consumer), work, settings or HandlerSettings())
        for partition in range(log.partitions)
    ]
    shown = metrics or MetricsSettings(enabled=False)
    exposed = ExposedConsumers(log, [member.progress for member in members], shown.vitals)
    for member in members:
        await member.prepare()
    async with exposition(exposed, shown) as url:
        facts = own_facts(wanted=None, metrics=url)
        async with (
            sharing(log, (name, consumer), facts, members) as membership,
            _running(members, membership),
        ):
            yield exposed


@asynccontextmanager
async def _running(
    members: Sequence[PartitionConsumer], membership: GroupMembership
) -> AsyncIterator[None]:
    """Run *members* during the block; at its end stop them softly, and hard after a timeout."""

    async def run_all(*, task_status: TaskStatus[None]) -> None:
        async with anyio.create_task_group() as tasks:
            for member in members:
                tasks.start_soon(member.run)
            task_status.started()

    async with in_background(run_all):
        try:
            yield
        finally:
            with anyio.move_on_after(SOFT_STOP_TIMEOUT_S):
                await stop_all(members, membership)
