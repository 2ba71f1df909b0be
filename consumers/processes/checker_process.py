"""Runs one health checker as a process, with its metrics and its membership."""

import anyio

from consumers.monitoring.http import exposition
from consumers.monitoring.targets import ExposedChecker
from consumers.processes.group_process import new_consumer_name, warn_of_weaknesses
from consumers.processes.moved_log import LogMoves
from consumers.processes.open_files import allow_open_files
from consumers.processes.registry import CHECKERS, own_facts, registered
from consumers.processes.stopping import stopping
from consumers.settings import Settings
from events.log.log import EventLog
from events.structured_logger import structured_logger
from producers.checker.address_policy import AddressPolicy
from producers.checker.deep.real_traffic import RealTraffic
from producers.checker.health_checker import HealthChecker
from producers.checker.membership import join
from producers.checker.passive_reports import PassiveReports
from producers.checker.probe import open_session
from producers.checker.probe_report import ProbeReport
from producers.endpoints.endpoint_service import EndpointService
from projections.read_model.reader import open_reader

_log = structured_logger(__name__)


async def run_checker(
    log: EventLog, settings: Settings, *, supervised: int | None
) -> EventLog | None:
    """Check until a signal stops it; then the other checkers take over its endpoints at once.

    Returns the log with which it goes on if that has moved, None if it shall end.
    *supervised* is how many checkers the supervisor keeps, None without one.
    """
    await warn_of_weaknesses(log.server)
    allow_open_files(settings.checker.concurrency_max)
    checker = new_consumer_name()
    moves = LogMoves(log)
    async with anyio.create_task_group() as tasks:

        async def stop() -> None:
            tasks.cancel_scope.cancel()

        exposed = ExposedChecker(log, lifetime_s=settings.membership.lifetime_s)
        async with (
            exposition(exposed, settings.metrics) as url,
            registered(log, CHECKERS, checker, own_facts(wanted=supervised, metrics=url)),
            stopping(stop, supervised=supervised is not None, moves=moves),
            open_reader(log, settings.reader) as reader,
            open_session(AddressPolicy(settings.checker.networks)) as session,
            join(log.server, log.keys, checker, settings.membership) as membership,
        ):
            exposed.membership = membership
            exposed.reader = reader
            exposed.tally = session.tally
            _log.info("process_started", checker=checker, server=log.server.address)
            prober = HealthChecker(
                *(reader, EndpointService(log), membership, session, settings.checker),
                has_traffic=RealTraffic(log).succeeded,
            )
            report = ProbeReport(log, prober, reader, every_s=settings.checker.report_s)
            tasks.start_soon(report.run)
            tasks.start_soon(PassiveReports(log, prober.bring_forward).run)
            await prober.run()
    _log.info("process_stopped", checker=checker)
    return await moves.next_log()
