"""What probes in the benchmark of the checker: ours, and a plain loop as Backend.AI has it.

The plain loop wakes every 10 s, probes all routes at once, each with a session of its own, and
waits for all of them.
"""

import resource
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import anyio
import anyio.to_thread
import msgspec

from benchmarks.model_servers import address_of
from consumers.processes.logs import configure_logs
from events.catalogue.health_check import HealthCheck
from events.catalogue.model_service import ModelServiceStatus
from events.entry.entry_id import EntryId
from producers.checker.address_policy import AddressPolicy
from producers.checker.health_checker import HealthChecker
from producers.checker.probe import open_session
from producers.checker.settings import CheckerSettings
from projections.route_table.endpoint import Endpoint
from projections.route_table.route import Route

ROUTES_OF_ENDPOINT = 4
MORTAL = 100
"""Routes with an interval of `MORTAL_INTERVAL_S`, which die."""
MORTAL_INTERVAL_S, MORTAL_RETRIES = 1.0, 3
WAIT_S = 15.0


class Scale(msgspec.Struct, frozen=True):
    """How much is measured: *routes* beside the mortal ones, of which *hanging* hang at last."""

    routes: int
    interval_s: float
    hanging: int
    steady_s: float


class Mark(msgspec.Struct):
    """What the probing process has used so far, and what it recorded."""

    at: float
    cpu_s: float
    memory_kb: int
    unhealthy_at: dict[int, float]


class Probing:
    """The ports of a checker: the table is given, and what is recorded is noted with its time."""

    def __init__(self, port: int, scale: Scale) -> None:
        self.unhealthy_at: dict[int, float] = {}
        self.check = HealthCheck(path="/health", interval=scale.interval_s, max_wait_time=WAIT_S)
        self.mortal_check = HealthCheck(
            path="/health",
            interval=MORTAL_INTERVAL_S,
            max_retries=MORTAL_RETRIES,
            initial_delay=0,
        )
        self.table = [
            self._endpoint(first, port, self.check)
            for first in range(0, scale.routes, ROUTES_OF_ENDPOINT)
        ] + [
            self._endpoint(first, port, self.mortal_check)
            for first in range(scale.routes, scale.routes + MORTAL, ROUTES_OF_ENDPOINT)
        ]

    def _endpoint(self, first: int, port: int, check: HealthCheck) -> Endpoint:
        routes = [
            Route(
                route_id=UUID(int=number),
                session_id=None,
                app="vllm",
                kernel_host=address_of(number),
                kernel_port=port,
                protocol="http",
                traffic_ratio=1.0,
                status="running",
                health="healthy",
                listed_at=EntryId(1, 0),
            )
            for number in range(first, first + ROUTES_OF_ENDPOINT)
        ]
        return Endpoint(
            endpoint_id=UUID(int=first),
            health_check=check,
            routes={route.route_id: route for route in routes},
        )

    def endpoints(self) -> Iterable[Endpoint]:
        """Return every endpoint."""
        return self.table

    def owns(self, _endpoint_id: UUID) -> bool:
        """Own all of them."""
        return True

    async def changed(self) -> None:
        """Never change."""
        await anyio.sleep_forever()

    async def record_status(
        self,
        _endpoint_id: UUID,
        route_id: UUID,
        new_status: ModelServiceStatus,
        *,
        observed_at: datetime,  # noqa: ARG002 - the recorder's port
        reason: str,  # noqa: ARG002
        consecutive_failures: int,  # noqa: ARG002
    ) -> object:
        """Note when a route became unhealthy."""
        if new_status == "unhealthy":
            self.unhealthy_at.setdefault(route_id.int, time.monotonic())
        return None

    async def record_flapping(self, *_: object, **_fields: object) -> object:
        """Note nothing."""
        return None


async def ours(probing: Probing) -> None:
    """Probe as a checker process does."""
    settings = CheckerSettings(jitter=0, networks=("127.0.0.0/8",))
    async with open_session(AddressPolicy(settings.networks)) as session:
        await HealthChecker(probing, probing, probing, session, settings).run()


async def plain(probing: Probing) -> None:
    """Probe as Backend.AI does."""
    failures: dict[int, int] = {}

    async def probe(route: Route, check: HealthCheck | None) -> None:
        if check is None:
            return
        url = f"http://{route.kernel_host}:{route.kernel_port}{check.path}"
        timeout = aiohttp.ClientTimeout(total=check.max_wait_time)
        number = route.route_id.int
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as reply:
                is_well = reply.status == check.expected_status_code
        except (aiohttp.ClientError, OSError):
            is_well = False
        failures[number] = 0 if is_well else failures.get(number, 0) + 1
        if failures[number] >= check.max_retries:
            probing.unhealthy_at.setdefault(number, time.monotonic())

    while True:
        began_at = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for endpoint in probing.table:
                for route in endpoint.routes.values():
                    tasks.start_soon(probe, route, endpoint.health_check)
        await anyio.sleep_until(began_at + probing.check.interval)


ROLES: Mapping[str, Callable[[Probing], Coroutine[Any, Any, None]]] = {"ours": ours, "plain": plain}


async def _probe_until_told(role: str, port: int, scale: Scale) -> None:
    """Probe, and print a mark for each line of the input, until it ends."""
    before_kb = _memory_kb()
    probing = Probing(port, scale)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ROLES[role], probing)
        while await anyio.to_thread.run_sync(sys.stdin.readline):
            memory_kb = _memory_kb() - before_kb
            mark = Mark(time.monotonic(), time.process_time(), memory_kb, probing.unhealthy_at)
            sys.stdout.buffer.write(msgspec.json.encode(mark) + b"\n")
            sys.stdout.buffer.flush()
        tasks.cancel_scope.cancel()


def _memory_kb() -> int:
    """Return the memory that this process has now.

    The most that it ever had begins, on Linux, with what the process had that started it.
    """
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[1])
        return pages * resource.getpagesize() // 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024


def main() -> None:
    """Probe as one of the roles: `python -m benchmarks.checker_roles ROLE PORT SCALE`."""
    configure_logs("error")
    role, port, scale = sys.argv[1:]
    anyio.run(_probe_until_told, role, int(port), msgspec.json.decode(scale, type=Scale))


if __name__ == "__main__":
    main()
