"""Real keepers of the life-cycle: killed, started again, several at once, and one server away."""

import os
import signal
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from subprocess import DEVNULL, PIPE

import anyio
from anyio.abc import Process

from consumers.processes.embedded import EmbeddedServer, free_port
from consumers.processes.supervisor import routestream_command
from events import EndpointCreatedEvent, EventLog, RouteRecord
from producers.endpoints.endpoint_service import EndpointService
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import ROUTES, E
from tests.support.projectors import POLITE, member
from tests.support.running_consumer import consuming, until_settled
from tests.support.waiting import wait_until

START_S = 60.0
"""A busy machine takes long to start a program."""


class Keepers:
    """Starts keepers of one deployment."""

    def __init__(self, log: EventLog, url: str, stack: AsyncExitStack) -> None:
        self._environment = {
            **os.environ,
            "REDIS_URL": url,
            "ROUTESTREAM_NAMESPACE": log.keys.namespace,
            "ROUTESTREAM_LIFE_CYCLE_LOOK_EVERY_S": "0.05",
            "ROUTESTREAM_LIFE_CYCLE_DRAINING_S": "0.3",
            "ROUTESTREAM_LIFE_CYCLE_TERMINATING_S": "0.3",
        }
        self._stack = stack

    async def start(self) -> tuple[Process, str]:
        """Start one; return it and where it serves its metrics, once it is ready."""
        url = f"http://127.0.0.1:{(port := free_port())}"
        process = await self._stack.enter_async_context(
            await anyio.open_process(
                routestream_command("consume", "life-cycle", "--metrics-port", str(port)),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=self._environment,
            )
        )
        self._stack.callback(_end, process)
        await wait_until(lambda: _answers(f"{url}/readyz"), "the keeper is ready", START_S)
        return process, url


def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()


async def _answers(url: str) -> bool:
    return await anyio.to_thread.run_sync(_get, url) is not None


def _get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - of our own process
            return str(answer.read().decode())
    except OSError:
        return None


@asynccontextmanager
async def world(log: EventLog, url: str) -> AsyncIterator[tuple[EndpointService, Keepers]]:
    """Give an endpoint with two terminating routes, a projector, and what starts keepers."""
    service = EndpointService(log)
    await service.create(EndpointCreatedEvent(endpoint_id=E, name="chat", model="m"))
    for number, route_id in enumerate(ROUTES[:2]):
        record = RouteRecord(route_id=route_id, kernel_host="10.0.0.1", kernel_port=number + 1)
        await service.create_route(E, RouteRecord(route_id=route_id))
        await service.start_route(E, record)
    async with consuming(member(log, ROUTE_TABLE, "projector", POLITE)), AsyncExitStack() as stack:
        await until_settled(log, ROUTE_TABLE.name)
        yield service, Keepers(log, url, stack)


async def ends(log: EventLog) -> list[str]:
    """Return what was recorded of the routes' ends, oldest first."""
    names = [one.event.wire_name async for one in log.read()]
    return [name for name in names if name in {"route_drained", "route_terminated"}]


async def until_ended(log: EventLog, count: int) -> None:
    async def is_so() -> bool:
        return len(await ends(log)) >= count

    await wait_until(is_so, f"{count} ends are recorded", START_S)


async def test_a_killed_keeper_loses_nothing_and_two_record_each_deadline_once(
    own_log: EventLog, own_server: EmbeddedServer
) -> None:
    async with world(own_log, own_server.url) as (service, keepers):
        first, _ = await keepers.start()
        await service.terminate_route(E, ROUTES[0], drain_s=0)
        await until_ended(own_log, 1)
        first.kill()
        await first.wait()
        # While nobody keeps, both routes come to wait beyond their deadlines.
        await service.terminate_route(E, ROUTES[1])
        second, url = await keepers.start()
        third, _ = await keepers.start()
        await until_ended(own_log, 4)
        await until_settled(own_log, ROUTE_TABLE.name)
        assert sorted(await ends(own_log)) == ["route_drained"] * 2 + ["route_terminated"] * 2
        assert (await service.read(E)).present_routes == []
        metrics = await anyio.to_thread.run_sync(_get, f"{url}/metrics")
        assert metrics is not None
        assert "routestream_phase_routes" in metrics
        for keeper in (second, third):
            keeper.send_signal(signal.SIGTERM)
            with anyio.fail_after(START_S):
                assert await keeper.wait() == 0


async def test_a_keeper_outlives_its_server_and_says_that_it_is_away(
    own_log: EventLog, own_server: EmbeddedServer
) -> None:
    async with world(own_log, own_server.url) as (service, keepers):
        keeper, url = await keepers.start()
        own_server.kill()

        async def is_not_ready() -> bool:
            return not await _answers(f"{url}/readyz")

        await wait_until(is_not_ready, "it says that the server is away", START_S)
        assert await _answers(f"{url}/livez")
        own_server.start()
        await service.terminate_route(E, ROUTES[0])
        await until_ended(own_log, 2)
        assert keeper.returncode is None


async def test_a_keeper_that_waits_for_a_table_stops_when_asked(
    own_log: EventLog, own_server: EmbeddedServer
) -> None:
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(
            await anyio.open_process(
                routestream_command("consume", "life-cycle"),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                env={
                    **os.environ,
                    "REDIS_URL": own_server.url,
                    "ROUTESTREAM_NAMESPACE": own_log.keys.namespace,
                },
            )
        )
        stack.callback(_end, process)
        assert process.stderr is not None
        said = b""
        with anyio.fail_after(START_S):
            while b"process_started" not in said:
                said += await process.stderr.receive()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
