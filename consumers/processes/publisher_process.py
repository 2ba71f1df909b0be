"""Runs one publisher as a process, with its metrics and its proxies' ledger."""

import anyio

from consumers.monitoring.exposed_publisher import ExposedPublisher
from consumers.monitoring.http import exposition
from consumers.processes.group_process import new_consumer_name, warn_of_weaknesses
from consumers.processes.moved_log import LogMoves
from consumers.processes.registry import PUBLISHED, own_facts, registered
from consumers.processes.stopping import stopping
from consumers.publishers.proxy_ledger import open_ledger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.snapshot_feed import open_feed
from consumers.settings import Settings
from events.log.log import EventLog
from events.structured_logger import structured_logger
from projections.read_model.reader import open_reader

_log = structured_logger(__name__)


async def run_publisher(
    log: EventLog, publisher: PublisherDefinition, settings: Settings, *, supervised: int | None
) -> EventLog | None:
    """Publish until a signal stops it; the proxies keep what they have.

    Returns the log with which it goes on if that has moved, None if it shall end.
    *supervised* is how many processes the supervisor keeps for it, None without one.
    """
    await warn_of_weaknesses(log.server)
    name = new_consumer_name()
    moves = LogMoves(log)
    async with anyio.create_task_group() as tasks:

        async def stop() -> None:
            tasks.cancel_scope.cancel()

        exposed = ExposedPublisher(publisher.name)
        async with (
            exposition(exposed, settings.metrics) as url,
            registered(
                log, PUBLISHED + publisher.name, name, own_facts(wanted=supervised, metrics=url)
            ),
            stopping(stop, supervised=supervised is not None, moves=moves),
            open_reader(log, settings.reader) as reader,
            open_feed(reader, log.layout.identity or "", log.partitions) as feed,
            open_ledger(log, publisher.name) as ledger,
        ):
            exposed.feed, exposed.ledger = feed, ledger
            _log.info("process_started", publisher=publisher.name, server=log.server.address)
            await publisher.publish(feed, ledger, settings)
    _log.info("process_stopped", publisher=publisher.name)
    return await moves.next_log()
