"""What each role is for, done once on a real server by an account that has the role."""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import anyio
import click
import msgspec
import pytest
import redis
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from consumers.cli.command_tree import routestream
from consumers.monitoring.settings import MetricsSettings
from consumers.processes.checker_process import run_checker
from consumers.processes.group_process import run_group
from consumers.processes.life_cycle_process import run_life_cycle
from consumers.processes.publisher_process import run_publisher
from consumers.processes.retention_process import run_retention
from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.retention.settings import RetentionSettings
from consumers.settings import Settings
from consumers.shipped import GROUPS
from events import (
    ArchiveSettings,
    ConflictError,
    Durability,
    EndpointCreatedEvent,
    EndpointRouteListUpdatedEvent,
    EventLog,
    HealthCheck,
    NotDurableError,
    RouteRecord,
    ServerSettings,
    open_log,
)
from events.entry.entry_id import START
from events.log.log_to_read import log_to_read
from producers.checker.settings import CheckerSettings
from producers.endpoints.endpoint_service import EndpointService
from projections import open_reader
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from tests.consumers.cli.test_server_load import READING, arguments_of
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.receiver import receiving, settings_of
from tests.support.listening import listening_hosts
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import is_settled
from tests.support.waiting import wait_until

_WITHHELD = re.compile("CONFIG GET|ACL DRYRUN")
"""What the doctor asks where it may, and says so where it may not."""

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
ROUTE = UUID("1b2c3d4e-0000-4000-8000-000000000003")


class Account(msgspec.Struct, frozen=True):
    """An account, its server's URL, the namespace of its log, a folder for its files."""

    url: str
    namespace: str
    folder: Path

    @property
    def settings(self) -> Settings:
        return Settings(
            self.namespace,
            server=ServerSettings(url=self.url),
            metrics=MetricsSettings(port=0),
            archive=ArchiveSettings(location=str(self.folder / "archive"), margin_s=0),
            snapshots=SnapshotSettings(directory=str(self.folder / "snapshots")),
            retention=RetentionSettings(keep_s=3_600, interval_s=1),
            checker=CheckerSettings(networks=("127.0.0.0/8",), report_s=0.05),
        )

    @asynccontextmanager
    async def log(self) -> AsyncIterator[EventLog]:
        async with open_log(self.url, namespace=self.namespace) as log:
            yield log

    async def command(self, path: str, *arguments: str) -> None:
        """Run a command of the command line, which may find that something is wrong."""
        commands = Commands(self.url, self.namespace)
        given = self.settings
        commands.configure(archive=given.archive, snapshots=given.snapshots)
        result = await commands(command_at(path), *arguments)
        assert end_of(result) in {0, 1, 3}, (path, result.output, result.exception)
        refused = [line for line in result.output.splitlines() if "permission" in line]
        assert [line for line in refused if not _WITHHELD.search(line)] == [], path


def command_at(path: str) -> click.Command:
    found: click.Command = routestream
    for name in path.split():
        assert isinstance(found, click.Group)
        child = found.get_command(click.Context(found), name)
        assert child is not None, path
        found = child
    return found


async def set_up(url: str, namespace: str, port: int, *, tables: bool) -> None:
    """Make a log with one endpoint of one route at *port* of this machine; *tables*: and these."""
    async with open_log(url, namespace=namespace) as log:
        check = HealthCheck(path="/", interval=0.1, initial_delay=0)
        route = RouteRecord(
            route_id=ROUTE, kernel_host="127.0.0.1", kernel_port=port, status="running"
        )
        await log.append(
            EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m", health_check=check),
            EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=(route,)),
        )
        for projection in (ROUTE_TABLE, HEALTH_STATE) if tables else ():
            await build(log, ReadModelStore(log.server, log.keys, projection, 0))
        await log.server.client.call("XGROUP CREATE", log.keys.events(0), "late", "0")


async def produce(account: Account) -> None:
    """Append: in memory, on disk, at a version, and again what is there."""
    event_id = uuid4()
    event = EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=())
    async with account.log() as log:
        for _ in range(2):
            await log.append(event, event_ids=[event_id])
        await log.append(event, expected=await log.endpoint_head(CHAT))
        with pytest.raises(ConflictError):
            await log.append(event, expected=START)
        if await log.server.can_wait_for_fsync():
            await log.append(event, durability=Durability(fsync=True))
        with pytest.raises(NotDurableError):
            await log.append(event, durability=Durability(replicas=1, timeout_ms=1))


async def serve_endpoints(account: Account) -> None:
    """Record commands, which are decided on the documents: a producer that is a reader, too."""
    endpoint_id = uuid4()
    async with account.log() as log:
        service = EndpointService(log)
        await service.create(EndpointCreatedEvent(endpoint_id=endpoint_id, name="new", model="m"))
        await service.set_route_list(endpoint_id, [RouteRecord(route_id=uuid4())])
        await service.destroy(endpoint_id)


async def consume(account: Account) -> None:
    """Run a projector and a handler group until both have read all."""
    async with receiving() as receiver, account.log() as log:
        webhook = msgspec.structs.replace(account.settings, webhook=settings_of(receiver))
        await _consume(log, ROUTE_TABLE.read_model, account.settings)
        await _consume(log, "webhook", webhook)


async def _consume(log: EventLog, group: str, settings: Settings) -> None:
    async with running(lambda: run_group(log, GROUPS[group], "c", settings, supervised=None)):
        await wait_until(lambda: is_settled(log, group), f"{group} has read all")


async def read(account: Account) -> None:
    """Follow the table and the log, and run every command that only looks."""
    async with log_to_read(account.url, namespace=account.namespace) as log:
        async with open_reader(log) as reader:
            assert reader.endpoint(CHAT) is not None
        with anyio.fail_after(20):
            async with aclosing(log.follow(START)) as events:
                await anext(events)
    with redis.Redis.from_url(account.url) as client:
        stream = f"{{{account.namespace}:0}}:events"
        for path, command in READING.items():
            arguments = arguments_of(command, client, stream)
            await account.command(path.partition(" ")[2], *arguments)
    file = account.folder / "export"
    for words in (
        *("archive ls", "archive check", "snapshot ls", "events trace chat"),
        *("replay show --as-of end", "replay diff --from start --to end"),
        *("replay verify route-table", f"events export {file}"),
    ):
        await _run(account, words)


async def check_health(account: Account) -> None:
    """Probe until the route's health is in the log, and the probes' times are noted."""
    async with account.log() as log:
        before = await log.head(0)
        settings = account.settings
        async with running(lambda: run_checker(log, settings, supervised=None)):

            async def is_noted() -> bool:
                noted = await log.server.client.call("ZMSCORE", log.keys.probed(0), "none")
                return bool(noted) and await log.head(0) > before

            await wait_until(is_noted, "the checker has recorded the route's health")


async def publish(account: Account) -> None:
    """Follow the tables for a proxy that acknowledges what it is sent."""
    acknowledged = anyio.Event()

    async def feed_proxy(feed: SnapshotFeed, ledger: ProxyLedger, _settings: Settings) -> None:
        snapshot = await feed.after(0)
        notes = ledger.proxy("proxy")
        notes.sent(snapshot.revision)
        notes.acknowledged(snapshot.revision)
        feed.report((CHAT, ROUTE), 1, 1)
        acknowledged.set()
        await anyio.sleep_forever()

    definition = PublisherDefinition(name="test", about="a proxy", publish=feed_proxy)
    async with account.log() as log:
        settings = account.settings
        async with running(lambda: run_publisher(log, definition, settings, supervised=None)):
            await acknowledged.wait()

            async def is_reported() -> bool:
                return await log.server.client.call("HLEN", log.keys.requests(0)) == 1

            await wait_until(is_reported, "the publisher has reported requests")


async def keep(account: Account) -> None:
    """Keep the life-cycle and the log's length; archive; take a snapshot."""
    settings = account.settings
    await _run(account, "archive run --yes")
    await _run(account, "snapshot take route-table")
    async with account.log() as log:
        async with running(lambda: run_life_cycle(log, settings, "k", supervised=None)):
            pass
        retention = settings.retention
        async with running(
            lambda: run_retention(log, retention, "r", supervised=None), until="log_trimmed"
        ):
            pass


async def operate(account: Account) -> None:
    """Run a command of each kind that writes."""
    for words in (
        "endpoints create other --model m --yes",
        "routes set chat --route 127.0.0.1:9 --yes",
        "endpoints replicas chat 1 --yes",
        "routes disable chat --reason upgrade --yes",
        "endpoints destroy other --yes",
        "groups reset late --to end --force --yes",
        "groups prune --yes",
        "groups remove late --force --yes",
        "dead requeue late --all --yes",
        "streams trim --without archive --without snapshot --yes",
        "replay rebuild route-table --yes",
        "replay rollback route-table --yes",
        "archive run --yes",
        "snapshot take route-table",
        *("doctor", "events export /dev/null", "groups show route-table", "events stats"),
    ):
        await _run(account, words)


async def _run(account: Account, words: str) -> None:
    parts, depth = words.split(), 1
    while isinstance(command_at(" ".join(parts[:depth])), click.Group):
        depth += 1
    await account.command(" ".join(parts[:depth]), *parts[depth:])


@asynccontextmanager
async def running(
    run: Callable[[], Coroutine[Any, Any, object]], until: str = "metrics_served"
) -> AsyncIterator[None]:
    """Run a process of ours during the block, which begins when it has said *until*."""
    with captured_lines() as lines:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            said: dict[str, dict[str, Any]] = {}

            def is_said() -> bool:
                said.update({line["event"]: line for line in lines})
                return {until, "process_started"} <= said.keys()

            await wait_until(is_said, f"the process has said {until}")
            if until == "metrics_served":
                await _scrape(said[until]["url"])
            assert listening_hosts(os.getpid()) <= {"127.0.0.1"}
            yield
            tasks.cancel_scope.cancel()
    assert [line for line in lines if "permission" in str(line)] == []


async def _scrape(url: str) -> None:
    async with ClientSession() as session:

        async def is_ready() -> bool:
            async with session.get(url.replace("/metrics", "/readyz")) as answer:
                return answer.status == 200

        await wait_until(is_ready, f"{url} is ready")
        async with session.get(url) as answer:
            assert answer.status == 200


Run = Callable[[Account], Awaitable[None]]

RUNS: Mapping[str, Sequence[tuple[Sequence[str], Run]]] = MappingProxyType(
    {
        "reader": [(["reader"], read)],
        "producer": [(["producer"], produce), (["producer", "reader"], serve_endpoints)],
        "consumer": [(["consumer"], consume)],
        "checker": [(["checker"], check_health)],
        "publisher": [(["publisher"], publish)],
        "keeper": [(["keeper"], keep)],
        "operator": [(["operator"], operate)],
    }
)
"""What is done for each role, and by which roles together."""


@asynccontextmanager
async def model_server() -> AsyncIterator[int]:
    """Serve 200 to every request; yield the port."""
    app = web.Application()
    app.router.add_get("/{path:.*}", _ok)
    async with TestServer(app) as server:
        assert server.port is not None
        yield server.port


async def _ok(_request: web.Request) -> web.Response:
    return web.Response()
