"""Publishers: from an appended event to the first answer of the new replica, through real proxies.

Processes of their own project and publish; this one appends, and asks through the proxy all the
time. Then 100 changes a second meet 300 requests a second, and the failed ones are counted.
"""

import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from statistics import median, quantiles
from typing import Any
from uuid import UUID, uuid4

import anyio
import anyio.lowlevel
import msgspec
from aiohttp import ClientError, ClientSession, web
from rich.console import Console
from rich.table import Table

from benchmarks.envoy import envoy_process, envoy_program
from consumers.processes.embedded import embedded_server, free_port
from consumers.processes.logs import configure_logs
from consumers.processes.supervisor import routestream_command
from consumers.processes.traefik_process import traefik_process
from events import EndpointCreatedEvent, EndpointRouteListUpdatedEvent, EventLog, open_log
from events.catalogue.route import RouteRecord

MOVES = 20
SMALL, LARGE = (1, 1), (1_000, 4)
"""Services, and routes of each."""

CHURNED, CHANGES_PER_S, REQUESTS_PER_S, CHURN_S = 300, 100, 300, 10
_FILLED_AT_ONCE = 100
_PATIENCE_S = 60.0


class FedProxy(msgspec.Struct, frozen=True):
    """A proxy that runs: where it answers, and what its publisher is started with."""

    url: str
    publisher: str
    environment: Mapping[str, str]


class Moved(msgspec.Struct, frozen=True):
    """Milliseconds from an append to the first answer of the new replica."""

    median_ms: float
    p95_ms: float


@contextmanager
def traefik_http() -> Iterator[FedProxy]:
    """Run a Traefik that polls."""
    port = free_port()
    endpoint = f"--providers.http.endpoint=http://127.0.0.1:{port}/v1/traefik/bench"
    with traefik_process(endpoint, "--providers.http.pollInterval=10ms") as traefik:
        settings = {
            "ROUTESTREAM_PUBLISH_TRAEFIK_HTTP_PORT": str(port),
            "ROUTESTREAM_PUBLISH_TRAEFIK_PATH": "/endpoints/{id}",
        }
        yield FedProxy(traefik.url, "traefik-http", settings)


@contextmanager
def traefik_redis() -> Iterator[FedProxy]:
    """Run a Traefik that reads keys, without the right to have every key announced."""
    user = ("--user", "traefik", "on", "nopass", "~*", "&*", "+@all", "-config")
    everyone = ("--user", "default", "on", "nopass", "~*", "&*", "+@all")
    with embedded_server(*everyone, *user) as keys:
        options = (
            f"--providers.redis.endpoints=127.0.0.1:{keys.port}",
            *("--providers.redis.username=traefik", "--providers.redis.password=any"),
            "--providers.redis.rootKey=traefik",
        )
        with traefik_process(*options) as traefik:
            settings = {
                "ROUTESTREAM_PUBLISH_TRAEFIK_REDIS_URL": keys.url,
                "ROUTESTREAM_PUBLISH_TRAEFIK_PATH": "/endpoints/{id}",
            }
            yield FedProxy(traefik.url, "traefik-redis", settings)


@contextmanager
def envoy_rest(program: str) -> Iterator[FedProxy]:
    """Run an Envoy that asks for its configuration."""
    asked, port = free_port(), free_port()
    with envoy_process(program, asked):
        settings = {
            "ROUTESTREAM_PUBLISH_ENVOY_PORT": str(asked),
            "ROUTESTREAM_PUBLISH_ENVOY_LISTENER_PORT": str(port),
            "ROUTESTREAM_PUBLISH_ENVOY_PATH": "/endpoints/{id}",
        }
        yield FedProxy(f"http://127.0.0.1:{port}", "envoy", settings)


PROXIES: dict[str, Callable[[], AbstractContextManager[FedProxy]]] = {
    "Traefik, HTTP": traefik_http,
    "Traefik, Redis": traefik_redis,
}
"""The proxies that are measured: one more is one more entry."""

if (_ENVOY := envoy_program()) is not None:
    PROXIES["Envoy, REST"] = partial(envoy_rest, _ENVOY)


class Stage:
    """A log, a projector, a publisher, and two model servers behind the proxy."""

    def __init__(self, log: EventLog, session: ClientSession, proxy: FedProxy) -> None:
        self.log, self._session, self._proxy = log, session, proxy
        self.endpoints: list[UUID] = []
        self.ports: list[int] = []

    def routes(self, number: int, first: int = 0) -> tuple[RouteRecord, ...]:
        """Return so many routes, in turn to the two servers, from *first* on."""
        return tuple(
            RouteRecord(
                route_id=UUID(int=place + 1),
                session_id=None,
                kernel_host="127.0.0.1" if place < 2 else f"127.0.1.{place}",
                kernel_port=self.ports[(first + place) % 2],
                status="running",
            )
            for place in range(number)
        )

    async def fill(self, services: int, routes: int) -> None:
        """Record so many endpoints."""
        self.endpoints = [uuid4() for _ in range(services)]
        for first in range(0, services, _FILLED_AT_ONCE):
            some = self.endpoints[first : first + _FILLED_AT_ONCE]
            await self.log.append(
                *(EndpointCreatedEvent(endpoint_id=one, name=str(one), model="m") for one in some)
            )
            await self.log.append(
                *(
                    EndpointRouteListUpdatedEvent(endpoint_id=one, routes=self.routes(routes))
                    for one in some
                )
            )

    async def ask(self, endpoint_id: UUID) -> str:
        """Return the port that answers, else the status, else `failed`."""
        try:
            async with self._session.get(f"{self._proxy.url}/endpoints/{endpoint_id}/v1") as answer:
                text = await answer.text()
                return text if answer.status == 200 else str(answer.status)
        except ClientError:
            return "failed"

    async def until(self, endpoint_id: UUID, port: int) -> None:
        """Ask until *port* answers."""
        with anyio.fail_after(_PATIENCE_S):
            while await self.ask(endpoint_id) != str(port):
                await anyio.lowlevel.checkpoint()

    async def move(self, endpoint_id: UUID, first: int) -> None:
        """Record that one server alone has the endpoint's traffic."""
        event = EndpointRouteListUpdatedEvent(endpoint_id=endpoint_id, routes=self.routes(1, first))
        await self.log.append(event)


@asynccontextmanager
async def stage(proxy: FedProxy) -> AsyncIterator[Stage]:
    """Run all that a measurement needs."""
    namespace = f"bench-{uuid4()}"
    with embedded_server() as server:
        environment = {
            **os.environ,
            **proxy.environment,
            "ROUTESTREAM_SERVER_URL": server.url,
            "ROUTESTREAM_NAMESPACE": namespace,
            "ROUTESTREAM_METRICS_PORT": "0",
            "ROUTESTREAM_LOG_LEVEL": "error",
        }
        async with AsyncExitStack() as running:
            log = await running.enter_async_context(open_log(server.url, namespace=namespace))
            session = await running.enter_async_context(ClientSession())
            made = Stage(log, session, proxy)
            for _ in range(2):
                made.ports.append(await running.enter_async_context(_model_server()))
            for command in (("consume", "route-table"), ("publish", proxy.publisher)):
                await running.enter_async_context(_process(command, environment))
            yield made


@asynccontextmanager
async def _model_server() -> AsyncIterator[int]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=str(runner.addresses[0][1]))

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@asynccontextmanager
async def _process(command: tuple[str, ...], environment: Mapping[str, str]) -> AsyncIterator[None]:
    async with await anyio.open_process(
        routestream_command(*command), env=environment, stdin=None, stdout=None, stderr=None
    ) as process:
        try:
            yield
        finally:
            process.kill()


async def moved(proxy: FedProxy, services: int, routes: int) -> Moved:
    """Measure how long it takes to move one endpoint's traffic among *services*."""
    async with stage(proxy) as made:
        await made.fill(services, routes)
        endpoint_id = made.endpoints[-1]
        await made.move(endpoint_id, 0)
        await made.until(endpoint_id, made.ports[0])
        taken_ms = []
        for number in range(1, MOVES + 1):
            began_at = time.monotonic()
            await made.move(endpoint_id, number)
            await made.until(endpoint_id, made.ports[number % 2])
            taken_ms.append((time.monotonic() - began_at) * 1e3)
            await anyio.sleep(0.2)  # let the proxy come to rest
        return Moved(median(taken_ms), quantiles(taken_ms, n=20)[-1])


async def failed_under_churn(proxy: FedProxy) -> tuple[int, int]:
    """Return how many requests failed while endpoints grew and shrank, and how many were sent."""
    async with stage(proxy) as made:
        await made.fill(CHURNED, 2)
        for endpoint_id in (made.endpoints[0], made.endpoints[-1]):
            await made.until(endpoint_id, made.ports[0])
        answers: Counter[str] = Counter()

        async def ask(number: int) -> None:
            answers[await made.ask(made.endpoints[number * 7 % CHURNED])] += 1

        async def change(number: int) -> None:
            routes = made.routes(1 + number % 2)
            place = number % CHURNED
            await made.log.append(
                EndpointRouteListUpdatedEvent(endpoint_id=made.endpoints[place], routes=routes)
            )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_at_rate, ask, REQUESTS_PER_S)
            tasks.start_soon(_at_rate, change, CHANGES_PER_S)
        good = sum(answers[str(port)] for port in made.ports)
        return answers.total() - good, answers.total()


async def _at_rate(do: Callable[[int], Coroutine[Any, Any, None]], per_second: int) -> None:
    """Start *do* so often, whether or not the ones before have ended."""
    began_at = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for number in range(per_second * CHURN_S):
            tasks.start_soon(do, number)
            await anyio.sleep(max(0.0, began_at + (number + 1) / per_second - time.monotonic()))


async def measure(table: Table) -> None:
    """Measure each proxy."""
    for name, run in PROXIES.items():
        for services, routes in (SMALL, LARGE):
            with run() as proxy:
                one = await moved(proxy, services, routes)
            what = f"{name}: event to traffic, {services:,} x {routes} (ms, median and p95)"
            table.add_row(what, f"{one.median_ms:.1f}", f"{one.p95_ms:.1f}")
        with run() as proxy:
            failed, sent = await failed_under_churn(proxy)
        what = f"{name}: failed of all requests, {CHANGES_PER_S} changes/s on {CHURNED}"
        table.add_row(what, f"{failed:,}", f"{sent:,}")


def main() -> None:
    """Print the table of the publishers alone: `python -m benchmarks.publishers`."""
    configure_logs("error")
    table = Table("WHAT", "", "", box=None)
    anyio.run(measure, table)
    Console().print(table)


if __name__ == "__main__":
    main()
