"""Stages a real incident, which the runbook and the screenshot of the live view show.

A server, model servers, checkers and consumers run; some of them die, hang or are stopped. Only
the entries that a foreign producer would append are written into Redis by hand.
"""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import anyio
import msgspec
from anyio.abc import Process, TaskGroup

from consumers.cli.demo.checks import LOOK_EVERY_S
from consumers.cli.demo.cluster import examples_folder
from consumers.cli.demo.replica import Replica
from consumers.processes.embedded import EmbeddedServer
from consumers.processes.supervisor import routestream_command
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.dead_letters import DeadLetters
from consumers.runtime.outcome import RetryPolicy
from consumers.runtime.processor import Handler, HandlerProcessor
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.route import RouteStartedEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import RecordedEvent
from events.log.log import EventLog, open_log
from events.streams.waiting_connections import connection_name
from producers.endpoints.endpoint_service import EndpointService
from producers.model_definitions.model_folder import read_model_definition
from projections.read_model.reader import ReaderSettings, RouteTableReader

NAMESPACE = "incident"
WARM_UP, AUDIT = "warm-up", "audit-2025"
ENDPOINTS = {
    "chat": UUID("c4a70000-0000-4000-8000-000000000000"),
    "embed": UUID("e3bed000-0000-4000-8000-000000000000"),
}
_ROUTES = {"chat": 3, "embed": 2}
_STEP_TIMEOUT_S = 30.0
_WHILE_STOPPED = (0.5, 0.25, 1.0, 0.75)
"""Weights that are recorded while no consumer folds the health state."""


class Stuck(msgspec.Struct, frozen=True):
    """An entry that stays pending, and the consumer that it was delivered to."""

    entry_id: EntryId
    consumer: str


class Incident:
    """The deployment in which the incident takes place."""

    def __init__(
        self, server: EmbeddedServer, log: EventLog, reader: RouteTableReader, tasks: TaskGroup
    ) -> None:
        self.log = log
        self._reader = reader
        self._tasks = tasks
        self._service = EndpointService(log)
        self._output = (server.folder / "processes.log").open("ab")
        self._environment = {
            **os.environ,
            **environment_of(server),
            # Reads that wait long, so that the server delivers the next entry to a hung consumer.
            "ROUTESTREAM_CONSUMER_BLOCK_MS": "60000",
            "ROUTESTREAM_LOG_LEVEL": "warning",
        }
        self._processes: dict[str, Process] = {}
        self._replicas = {
            name: [self._replica(name, place) for place in range(count)]
            for name, count in _ROUTES.items()
        }
        self.settings = ReaderSettings(block_ms=300)
        self.stuck: Stuck | None = None
        self._turns = 0

    def _replica(self, name: str, place: int) -> Replica:
        replica = Replica(name)
        replica.route_id = UUID(int=ENDPOINTS[name].int + place + 1 + (place + 1 << 112))
        return replica

    async def happen(self) -> None:
        """Run all steps of the incident, one after the other."""
        await self._serve()
        await self._audit_and_leave()
        await self._warm_up_too_early()
        await self._garbage()
        await self._kill_a_replica()
        await self._stop_keeping_health()
        await self._stand_still()

    async def go_on(self) -> None:
        """Make the next change: a weight changes, or a replica dies or comes back."""
        self._turns += 1
        first, second, *_ = self._replicas["embed"]
        match self._turns % 8:
            case 1:
                await second.kill()
            case 5:
                await second.start()
            case 7:
                await self._list_routes("embed")
            case turn if turn % 2 == 0:
                ratio = 1 - turn / 10
                await self._service.set_traffic_ratio(ENDPOINTS["embed"], first.route_id, ratio)
            case _:
                pass

    async def end(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()
        for replicas in self._replicas.values():
            for replica in replicas:
                await replica.kill()
        self._output.close()

    async def _serve(self) -> None:
        """Start everything; all replicas become healthy."""
        for name in ("route-table", "health-state"):
            await self._start(f"{name}-1", "consume", name, "--consumer", f"{name}-1")
        await self._start("checker", "checkers", "run")
        for name, replicas in self._replicas.items():
            for replica in replicas:
                await replica.start()
            definition = (await read_model_definition(examples_folder() / name)).usable
            await self._service.create(
                EndpointCreatedEvent(
                    endpoint_id=ENDPOINTS[name],
                    name=name,
                    model=definition.models[0].name,
                    health_check=definition.health_check,
                )
            )
            await self._list_routes(name)
        for name in ENDPOINTS:
            await self._until_routable(name, len(self._replicas[name]))

    async def _audit_and_leave(self) -> None:
        """A group reads the whole log once and never runs again."""
        seen: list[EntryId] = []

        async def read(recorded: RecordedEvent) -> None:
            seen.append(recorded.entry_id)

        last = await self.log.head(0)
        consumer = self._consume(AUDIT, read)
        await _until(lambda: last in seen)
        await consumer.stop()

    async def _warm_up_too_early(self) -> None:
        """A route is started before its server listens: the warm-up group gives up on the event."""
        late = self._replica("embed", 2)
        await late.start()
        await late.kill()
        await self._start_warm_up(late)
        await late.start()
        self._replicas["embed"].append(late)
        await self._until_routable("embed", 3)

    async def _start_warm_up(self, late: Replica) -> None:
        await self.log.server.client.call("XGROUP", "CREATE", self.log.keys.events(0), WARM_UP, "$")
        self._replicas["embed"].append(late)
        await self._list_routes("embed")
        self._replicas["embed"].remove(late)
        self._consume(WARM_UP, warm_up)
        await self._until_dead(WARM_UP, 1)

    async def _garbage(self) -> None:
        """A foreign producer appends two unreadable entries: one truncated, one without a name."""
        stream = self.log.keys.events(0)
        cut = f'{{"endpoint_id":"{ENDPOINTS["chat"]}","route_id":"'
        client = self.log.server.client
        await client.call("XADD", stream, "*", "name", "route_started", "payload", cut)
        await client.call("XADD", stream, "*", "level", "info", "text", "started")
        await self._until_dead("route-table", 2)
        await self._until_dead("health-state", 2)
        await self._until_dead(WARM_UP, 3)

    async def _kill_a_replica(self) -> None:
        await self._replicas["chat"][1].kill()
        await self._until_routable("chat", 2)

    async def _stop_keeping_health(self) -> None:
        """The only consumer of the health state is stopped and not started again."""
        process = self._processes["health-state-1"]
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(_STEP_TIMEOUT_S):
            await process.wait()
        route_id = self._replicas["chat"][0].route_id
        for ratio in _WHILE_STOPPED:
            await self._service.set_traffic_ratio(ENDPOINTS["chat"], route_id, ratio)
            await _until(lambda: self._ratio(route_id) == ratio)  # noqa: B023 - awaited here

    async def _stand_still(self) -> None:
        """The only consumer of the route table hangs with a just delivered entry."""
        process = self._processes["route-table-1"]
        with anyio.fail_after(_STEP_TIMEOUT_S):
            process.send_signal(signal.SIGSTOP)
            while not await self._is_waiting():
                # It was stopped outside of a read: the next entry would not be delivered to it.
                process.send_signal(signal.SIGCONT)
                await anyio.sleep(LOOK_EVERY_S)
                process.send_signal(signal.SIGSTOP)
        route_id = self._replicas["chat"][2].route_id
        await self._service.set_traffic_ratio(ENDPOINTS["chat"], route_id, 0.5)
        self.stuck = Stuck(await self.log.head(0), "route-table-1")

    async def _is_waiting(self) -> bool:
        """Whether a read of the route table's consumer is blocked at the server."""
        name = connection_name(self.log.keys, 0, "route-table", "route-table-1")
        clients = await self.log.server.client.execute_command("CLIENT LIST")
        return any(client["name"] == name and "b" in client["flags"] for client in clients)

    def _consume(self, group: str, handler: Handler) -> Consumer:
        policy = RetryPolicy(tries_max=3, first_s=0.05, most_s=0.1)
        settings = ConsumerSettings(block_ms=100, policy=policy)
        processor = HandlerProcessor(handler, policy)
        consumer = Consumer(self.log, 0, (group, f"{group}-1"), processor, settings)
        self._tasks.start_soon(consumer.run)
        return consumer

    async def _start(self, name: str, *arguments: str) -> None:
        self._processes[name] = await anyio.open_process(
            routestream_command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._output.fileno(),
            env=self._environment,
        )

    async def _list_routes(self, name: str) -> None:
        records = [replica.record for replica in self._replicas[name]]
        await self._service.set_route_list(ENDPOINTS[name], records)

    async def _until_routable(self, name: str, count: int) -> None:
        await _until(lambda: len(self._reader.routable(ENDPOINTS[name])) == count)

    async def _until_dead(self, group: str, count: int) -> None:
        letters = DeadLetters(self.log.server, self.log.keys, 0, group)
        with anyio.fail_after(_STEP_TIMEOUT_S):
            while len(await letters.newest(count)) < count:  # noqa: ASYNC110 - the state is in Redis
                await anyio.sleep(LOOK_EVERY_S)

    def _ratio(self, route_id: UUID) -> float | None:
        endpoint = self._reader.endpoint(ENDPOINTS["chat"])
        return None if endpoint is None else endpoint.routes[route_id].traffic_ratio


async def warm_up(recorded: RecordedEvent) -> None:
    """Connect to each started route, so that its first user does not wait."""
    if isinstance(recorded.event, RouteStartedEvent):
        event = recorded.event
        async with await anyio.connect_tcp(event.kernel_host, event.kernel_port):
            pass


def environment_of(server: EmbeddedServer) -> Mapping[str, str]:
    """Return the variables that tell a command which deployment it works on."""
    return {
        "REDIS_URL": server.url,
        "ROUTESTREAM_NAMESPACE": NAMESPACE,
        "ROUTESTREAM_CHECKER_NETWORKS": "127.0.0.0/8",
    }


async def _until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(_STEP_TIMEOUT_S):
        while not holds():  # noqa: ASYNC110 - the state changes outside of this process
            await anyio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def run_incident(server: EmbeddedServer) -> AsyncIterator[Incident]:
    """Run the incident on *server*; on exit all its processes and tasks have ended."""
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(
            open_log(server.url, namespace=NAMESPACE, source="manager")
        )
        groups = await stack.enter_async_context(anyio.create_task_group())
        reader = RouteTableReader(log.server, log.keys, log.partitions, ReaderSettings(300))
        groups.start_soon(reader.run)
        incident = Incident(server, log, reader, groups)
        try:
            await incident.happen()
            yield incident
        finally:
            with anyio.CancelScope(shield=True):
                await incident.end()
            groups.cancel_scope.cancel()
