"""Keep the rollouts of a table moving: record the steps that are due, and the ways back."""

from collections import Counter
from collections.abc import Callable, Iterable

import anyio

from events.errors import EventsError, ServerRefusedError
from events.log.log import EventLog
from events.server.server import now_of
from events.structured_logger import structured_logger
from producers.endpoints.endpoint_service import EndpointService, Recorded
from producers.errors import ProducersError
from producers.rollout.due_step import due_step, is_gradual, is_under_way
from producers.rollout.health_gate import GateSettings, Reports
from projections.errors import ProjectionsError
from projections.requests.request_counts import read_request_counts
from projections.route_table.endpoint import Endpoint

_log = structured_logger(__name__)

LOOK_EVERY_S = 1.0
"""Seconds between two looks at the rollouts."""


class RolloutKeeper:
    """Records what is due of every gradual rollout.

    All that it knows is in the table: it may be killed at any moment, and several may run. A step
    is decided on the endpoint's state in the log, and recorded once. It is counted in *recorded*.
    """

    def __init__(
        self,
        log: EventLog,
        endpoints: Callable[[], Iterable[Endpoint]],
        settings: GateSettings,
        recorded: Counter[str],
    ) -> None:
        self._log = log
        self._endpoints = endpoints
        self._service = EndpointService(log)
        self._settings = settings
        self._recorded = recorded

    async def run(self) -> None:
        """Look every `LOOK_EVERY_S` seconds until cancelled."""
        while True:
            if gradual := [one for one in self._endpoints() if is_gradual(one)]:
                await self._keep_all(gradual)
            await anyio.sleep(LOOK_EVERY_S)

    async def _keep_all(self, gradual: Iterable[Endpoint]) -> None:
        try:
            now_ms = await server_ms(self._log)
        except EventsError as error:
            _log.warning("rollouts_not_kept", error=str(error))
            return
        for endpoint in gradual:
            if is_under_way(endpoint, now_ms):
                await self._keep(endpoint)

    async def _keep(self, endpoint: Endpoint) -> None:
        """Record what is due of one rollout; one that cannot be recorded delays no other."""
        endpoint_id = str(endpoint.endpoint_id)
        try:
            recorded = await keep_rollout(self._log, self._service, endpoint, self._settings)
        except (EventsError, ProducersError, ProjectionsError) as error:
            _log.warning("rollout_not_kept", endpoint=endpoint_id, error=str(error))
            return
        for entry_id, event in zip(recorded.entry_ids, recorded.decision, strict=True):
            self._recorded[event.wire_name] += 1
            reason = getattr(event, "reason", None)
            _log.info("rollout_step", endpoint=endpoint_id, entry_id=str(entry_id), reason=reason)


async def keep_rollout(
    log: EventLog, service: EndpointService, endpoint: Endpoint, settings: GateSettings
) -> Recorded:
    """Record what is due of the rollout of *endpoint*, which may be an older state of it.

    Raises:
        EventsError: It cannot be read or recorded now; nothing is lost by trying again.
    """
    reports = await _reports(log, endpoint, settings)
    now_ms = await server_ms(log)
    return await service.record(
        endpoint.endpoint_id, lambda state: due_step(state, now_ms, reports, settings)
    )


async def server_ms(log: EventLog) -> int:
    """Return the server's clock, by which the steps were recorded, in ms since 1970."""
    return round((await now_of(log.server)).timestamp() * 1_000)


async def _reports(log: EventLog, endpoint: Endpoint, settings: GateSettings) -> Reports:
    """Return what proxies reported lately; nothing where the account may not read it."""
    keys = [(endpoint.endpoint_id, route.route_id) for route in endpoint.present_routes]
    try:
        counts = await read_request_counts(log, keys, settings.requests_within_s)
    except ServerRefusedError:
        return {}
    return {route_id: found for (_, route_id), found in counts.items()}
