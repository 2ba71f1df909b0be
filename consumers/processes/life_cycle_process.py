"""Runs one keeper of the life-cycle as a process, with its metrics."""

import anyio

from consumers.monitoring.exposed_keeper import ExposedKeeper
from consumers.monitoring.http import exposition
from consumers.processes.group_process import warn_of_weaknesses
from consumers.processes.moved_log import LogMoves
from consumers.processes.registry import own_facts, registered
from consumers.processes.stopping import stopping
from consumers.settings import Settings
from consumers.shipped import LIFE_CYCLE
from events.log.log import EventLog
from events.structured_logger import structured_logger
from producers.life_cycle.keeper import LifeCycleKeeper
from producers.rollout.rollout_keeper import RolloutKeeper
from projections.read_model.reader import open_reader

_log = structured_logger(__name__)


async def run_life_cycle(
    log: EventLog, settings: Settings, name: str, *, supervised: int | None
) -> EventLog | None:
    """Record what is due as the process *name* until a signal stops it.

    Returns the log with which it goes on if that has moved, None if it shall end.
    *supervised* is how many such processes the supervisor keeps, None without one.
    """
    await warn_of_weaknesses(log.server)
    exposed = ExposedKeeper()
    begun = anyio.CancelScope()
    moves = LogMoves(log)

    async def stop() -> None:
        if exposed.keeper is None:
            begun.cancel()  # it waits for the route table
        else:
            await exposed.keeper.stop()

    async with (
        exposition(exposed, settings.metrics) as url,
        registered(log, LIFE_CYCLE, name, own_facts(wanted=supervised, metrics=url)),
        stopping(stop, supervised=supervised is not None, moves=moves),
    ):
        _log.info("process_started", process=LIFE_CYCLE, server=log.server.address)
        await _keep(log, settings, exposed, begun)
    _log.info("process_stopped", process=LIFE_CYCLE)
    return await moves.next_log()


async def _keep(
    log: EventLog, settings: Settings, exposed: ExposedKeeper, begun: anyio.CancelScope
) -> None:
    """Keep until the keeper is stopped, or *begun* is cancelled while the table is awaited."""
    with begun:
        async with (
            open_reader(log, settings.reader) as reader,
            anyio.create_task_group() as tasks,
        ):
            keeper = exposed.keeper = LifeCycleKeeper(log, reader, settings.life_cycle)
            rollouts = RolloutKeeper(log, reader.endpoints, settings.rollout, keeper.recorded)
            tasks.start_soon(rollouts.run)
            await keeper.run()
            tasks.cancel_scope.cancel()
