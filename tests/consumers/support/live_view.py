"""What the tests of the live view stand on: a deployment with something of everything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import anyio
from textual.pilot import Pilot

from consumers.cli.top.app import TopApp
from consumers.cli.top.deployment_reader import DeploymentReader
from events import (
    EndpointCreatedEvent,
    EndpointRouteListUpdatedEvent,
    EventLog,
    HealthCheck,
    ModelServiceStatusEvent,
    RouteRecord,
)
from events.archive import Archive
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.reader import ReaderSettings, RouteTableReader
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE

CHAT = UUID("c4a70000-0000-4000-8000-000000000000")
EMBED = UUID("e3bed000-0000-4000-8000-000000000000")
ROUTES = [UUID(f"{n:08x}-0000-4000-8000-000000000000") for n in range(1, 4)]
NARROW, WIDE = (80, 24), (200, 50)
GROUP = "a-group"
TIMEOUT_S = 15.0


async def record(log: EventLog) -> None:
    """Record two endpoints, one with a route that is unhealthy."""
    check = HealthCheck(path="/up")
    for endpoint_id, name, routes in ((CHAT, "chat", ROUTES[:2]), (EMBED, "embed", ROUTES[2:])):
        records = tuple(map(route, routes))
        await log.append(
            EndpointCreatedEvent(
                endpoint_id=endpoint_id, name=name, model="llama-3", health_check=check
            ),
            EndpointRouteListUpdatedEvent(endpoint_id=endpoint_id, routes=records),
            *(
                ModelServiceStatusEvent(
                    endpoint_id=endpoint_id,
                    route_id=one,
                    new_status="unhealthy" if one == ROUTES[1] else "healthy",
                    reason="HTTP 503" if one == ROUTES[1] else None,
                )
                for one in routes
            ),
        )


def route(route_id: UUID) -> RouteRecord:
    return RouteRecord(
        route_id=route_id, kernel_host="10.0.0.1", kernel_port=8_000, status="running"
    )


async def go_live(log: EventLog) -> None:
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))
    await build(log, ReadModelStore(log.server, log.keys, HEALTH_STATE, 0))


async def read_some(log: EventLog, count: int) -> None:
    """Let a consumer of a group be given *count* entries that it does not end."""
    stream, client = log.keys.events(0), log.server.client
    await client.call("XGROUP", "CREATE", stream, GROUP, "0")
    await client.call("XREADGROUP", "GROUP", GROUP, "c-1", "COUNT", count, "STREAMS", stream, ">")


async def give_up(log: EventLog) -> None:
    """Leave a dead letter as a consumer would, of an entry without a name."""
    fields = {
        "dead_entry_id": "1795574386333-0",
        "dead_reason": "undecodable",
        "dead_error": "the entry has no name",
        "dead_deliveries": "1",
        "dead_consumer": "c-1",
        "dead_first_at": "2026-11-25T02:39:46+00:00",
        "dead_last_at": "2026-11-25T02:39:47+00:00",
        "level": "info",
    }
    flat = [part for pair in fields.items() for part in pair]
    await log.server.client.call("XADD", log.keys.dead(0, GROUP), "*", *flat)


async def deploy(log: EventLog) -> None:
    """Have something of everything there is to see."""
    await record(log)
    await go_live(log)
    await read_some(log, 2)
    await give_up(log)


class Screen:
    """The live view under a test's hands."""

    def __init__(self, app: TopApp, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    @property
    def lines(self) -> list[str]:
        """The screen as a person sees it."""
        strips = self.app.screen._compositor.render_strips()
        return [strip.text.rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def rows(self, beginning: str) -> list[list[str]]:
        """The words of the lines that begin with *beginning*."""
        return [line.split() for line in self.lines if line.strip().startswith(beginning)]

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)
        await self._pilot.pause()

    async def click(self, x: int, y: int) -> None:
        await self._pilot.click(offset=(x, y))
        await self._pilot.pause()

    async def until(self, *words: str) -> None:
        """Wait until all of *words* are on the screen."""
        await self.until_not((), words)

    async def until_not(self, absent: tuple[str, ...], present: tuple[str, ...] = ()) -> None:
        def is_so() -> bool:
            # As it stands there, and as it reads where a sentence goes on in the next line.
            text = f"{self.text}\n{' '.join(self.text.split())}"
            return all(one in text for one in present) and not any(one in text for one in absent)

        with anyio.move_on_after(TIMEOUT_S):
            while not is_so():
                await self._pilot.pause(0.02)
        # An assertion, unlike pytest.fail, passes through task groups as any error does.
        assert is_so(), f"{present} not on the screen, or {absent} on it:\n{self.text}"


@asynccontextmanager
async def screen(
    log: EventLog, size: tuple[int, int] = NARROW, archive: Archive | None = None
) -> AsyncIterator[Screen]:
    """Run the live view on a screen of *size*."""
    async with anyio.create_task_group() as tasks:
        reader = RouteTableReader(
            log.server, log.keys, log.partitions, ReaderSettings(block_ms=100)
        )
        tasks.start_soon(reader.run)
        app = TopApp(DeploymentReader(log, reader, archive))
        async with app.run_test(size=size) as pilot:
            yield Screen(app, pilot)
        tasks.cancel_scope.cancel()
