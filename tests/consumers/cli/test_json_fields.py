"""The fields that programs read: those that are documented, no more and no fewer."""

import csv
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import click
import msgspec
import pytest

from consumers.cli.command_tree import routestream
from consumers.cli.terminal.command_group import commands_of
from consumers.publishers.proxy_ledger import ProxyState
from consumers.runtime.consumer import Consumer, ConsumerSettings
from consumers.runtime.losses import Losses
from consumers.runtime.projector import Projector
from events import (
    EndpointCreatedEvent,
    EndpointRouteListUpdatedEvent,
    EventLog,
    HealthCheck,
    RouteRecord,
)
from events.entry.entry_id import EntryId
from events.log.positions import Positions
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from tests.consumers.support.commands import Commands, end_of
from tests.support.read_model import live_documents
from tests.support.waiting import wait_until

DOCUMENT = (Path(__file__).parents[3] / "docs" / "json.md").read_text("utf-8")
DEFINITION = Path(__file__).parents[3] / "examples" / "chat" / "model-definition.yaml"
CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
ROUTE = UUID("1b2c3d4e-0000-4000-8000-000000000003")
DEAD, ARCHIVE = "the dead letter", "the archive"
"""In the arguments of a run, where there is one only then."""

OPEN = {
    *("metadata", "payload", "fields", "read_as", "health_check", "pending_by_age"),
    *("comparison", "pending_by_deliveries", "value", "before", "after", "live", "folded"),
    *("labels", "owner", "split", "last_probe"),
}
"""Objects whose names others choose."""

_JSON = re.compile(r"\A(?:\d{4}-.*\n)*")
"""In tests the log is on standard output, too."""

RUNS: dict[str, list[tuple[str, ...]]] = {
    "events tail": [("-n", "99")],
    "events range": [("start..",)],
    "events grep": [("a", "start..")],
    "events show": [("7-0",), ("8-0",)],
    "events stats": [()],
    "streams ls": [()],
    "streams show": [("0",)],
    "streams trim --dry-run": [()],
    "streams trim": [("--without", "archive", "--without", "snapshot", "--yes")],
    "groups ls": [()],
    "groups show": [("late",)],
    "groups pending": [("late",)],
    "groups losses": [("late",)],
    "dead ls": [()],
    "dead show": [(DEAD,)],
    "dead requeue": [("route-table", "--all", "--yes")],
    "dead drop": [("route-table", "--all", "--yes")],
    "events trace": [("chat",)],
    "endpoints ls": [()],
    "endpoints show": [("chat",)],
    "endpoints why": [("chat",)],
    "endpoints rollout --status": [("chat",)],
    "routes suggest-removal": [("chat", "1")],
    "health ls": [()],
    "health show": [("chat",)],
    "doctor": [()],
    "config show": [()],
    "model-definition check": [(str(DEFINITION), "--runtime-variant", "triton")],
    "archive ls": [("--location", ARCHIVE)],
    "archive check": [("--location", ARCHIVE)],
    "snapshot ls": [()],
    "archive run": [("--to", "end", "--accept-gap", "--yes", "--location", ARCHIVE)],
    "snapshot take": [("route-table",)],
    "snapshot restore": [("route-table", "--yes")],
    "events export": [(ARCHIVE,)],
    "events import-log": [(ARCHIVE, "--yes")],
    "replay rebuild": [("route-table", "--yes")],
    "replay rollback": [("route-table", "--yes")],
    "replay run": [("--speed", "max", "--into", "elsewhere", "--yes")],
    "replay verify": [("route-table",)],
    "replay diff": [("--from", "start")],
    "replay show": [("--as-of", "end")],
}
"""With which arguments each is run; what it prints all together is what is documented."""

ENDS = {"doctor": 1, "replay verify": 1}
"""How those end that tell of something wrong."""

WRITING = [path for path, runs in RUNS.items() if any("--yes" in words for words in runs)]
"""What cannot be run twice, for its JSON and for its CSV."""


def documented() -> dict[str, set[str]]:
    """Return the names of fields for each command that has a section."""
    found: dict[str, set[str]] = {}
    for section in DOCUMENT.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        names = set(re.findall(r"^\| ([a-z0-9_\[\].]+) \| ", text, re.MULTILINE)) - {"field"}
        names = {re.sub(r"(\.last_probe)\..*", r"\1", name) for name in names}
        found |= dict.fromkeys(title.split(", "), names)
    return found


def names_in(value: Any, prefix: str = "") -> set[str]:  # noqa: ANN401 - JSON
    names = set()
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            names |= {one for item in inner for one in names_in(item, f"{path}[].")}
        elif isinstance(inner, dict) and name not in OPEN:
            names |= names_in(inner, f"{path}.")
        else:
            names.add(path)
    return names


def columns(names: set[str]) -> set[str]:
    """Return the header of a CSV that has these fields."""
    return {re.split(r"[\[.]", name)[0] for name in names}


async def fill(log: EventLog) -> None:
    """Let there be one of everything that can be shown."""
    client, stream = log.server.client, log.keys.events(0)
    old = json.dumps({"endpoint_id": str(CHAT), "health_check": {"path": "/a"}})
    await client.call(
        *("XADD", stream, "7-0", "name", "endpoint_health_check_updated", "v", "1"),
        *("payload", old),
    )
    await client.call("XADD", stream, "8-0", "name", "route_started", "payload", "{")
    await log.append(
        EndpointCreatedEvent(
            endpoint_id=CHAT, name="chat", model="m", health_check=HealthCheck(path="/a")
        ),
        EndpointRouteListUpdatedEvent(
            endpoint_id=CHAT, routes=(RouteRecord(route_id=ROUTE, status="running"),)
        ),
    )
    await Positions(log.server, log.keys, 0).advance("archive", EntryId(7, 0))
    settings = ConsumerSettings(block_ms=100)
    projector = Projector(log, ROUTE_TABLE, 0, settings.policy)
    consumer = Consumer(log, 0, (ROUTE_TABLE.name, "c-1"), projector, settings)

    async def is_there() -> bool:
        return bool(await client.execute_command("XINFO GROUPS", stream))

    async def is_dead() -> bool:
        return bool(await client.execute_command("XLEN", log.keys.dead(0, ROUTE_TABLE.name)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consumer.run)
        await wait_until(is_there, "the group is created")
        await client.call("XADD", stream, "*", "name", "route_started", "payload", "{")
        await wait_until(is_dead, "the broken entry is a dead letter")
        await consumer.stop()
    await client.call("XGROUP", "CREATE", stream, "late", "0")
    await client.call("XREADGROUP", "GROUP", "late", "c-1", "COUNT", 1, "STREAMS", stream, ">")
    await Losses(log.server, log.keys, 0, "late").note("deleted", [EntryId(6, 0)])


def _words(path: str) -> tuple[list[str], list[str]]:
    """Return the words that name the command, and the options behind them."""
    words = path.split()
    options = [word for word in words if word.startswith("--")]
    return words[: len(words) - len(options)], options


def command_of(path: str) -> click.Command:
    command: click.Command = routestream
    for name in _words(path)[0]:
        assert isinstance(command, click.Group)
        command = commands_of(command)[name]
    return command


async def more_to_show(log: EventLog, run: Commands, path: str, archive: str) -> None:
    """Let there be what only some commands show, and what others would stumble over."""
    client, document = log.server.client, await live_documents(log, "route-table")
    begin: dict[str, list[str]] = {
        "groups show": ["groups reset", "late", "--to", "start", "--force", "--yes"],
        "snapshot ls": ["snapshot take", "route-table"],
        "snapshot restore": ["snapshot take", "route-table"],
        "replay rollback": ["replay rebuild", "route-table", "--yes"],
        "events import-log": ["events export", archive],
        "archive run": [""],
        "archive": ["archive run", "--to", "end", "--accept-gap", "--yes"],
    }
    first, *arguments = begin.get(path) or begin.get(path.partition(" ")[0], [""])
    if path.startswith("archive"):
        await Positions(log.server, log.keys, 0).forget("archive")
        await client.call("XTRIM", log.keys.events(0), "MINID", "8-0")
        arguments += ["--location", archive]
    if path == "streams trim":
        await client.call("XGROUP", "DESTROY", log.keys.events(0), "late")
    if path == "health ls":
        await build(log, ReadModelStore(log.server, log.keys, HEALTH_STATE, 0))
    if path == "proxies ls":
        ledger = ProxyState(publisher="kind", proxy="near", acknowledged="5-0", noted_at=1.0)
        await client.call("HSET", log.keys.proxies, "near", msgspec.json.encode(ledger))
    if path == "replay verify":
        kept = await client.execute_command("HGET", document, str(CHAT))
        await client.call("HSET", document, str(CHAT), kept.replace(b'"running"', b'"failed"'))
    if first:
        assert end_of(await run(command_of(first), *arguments)) == 0


async def told_by(log: EventLog, run: Commands, path: str, archive: str) -> tuple[Any, set[str]]:
    """Return what a command prints as JSON, and the names in the header of its CSV."""
    [[dead_id, _]] = await log.server.client.execute_command(
        "XRANGE", log.keys.dead(0, ROUTE_TABLE.name), "-", "+", "COUNT", 1
    )
    known = {DEAD: dead_id.decode(), ARCHIVE: archive}
    told, header = list[Any](), set[str]()
    for arguments in RUNS[path]:
        words = [*_words(path)[1], *(known.get(one, one) for one in arguments)]
        printed = await run(command_of(path), *words, "-o", "json")
        assert end_of(printed) == ENDS.get(path, 0), printed.output
        value = json.loads(_JSON.sub("", printed.stdout, count=1))
        told += value if isinstance(value, list) else [value]
        if "--yes" not in words:
            table = (await run(command_of(path), *words, "-o", "csv")).stdout
            header |= set(csv.DictReader(StringIO(table)).fieldnames or ())
    return told, header


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(tmp_path / "archive")


@pytest.fixture
async def run(log: EventLog, redis_url: str, namespace: str, archive: str, path: str) -> Commands:
    """The commands on a log that has what the one of *path* shows."""
    run = Commands(redis_url, namespace)
    run.configure(snapshots=SnapshotSettings(str(Path(archive).parent)))
    await fill(log)
    await more_to_show(log, run, path, archive)
    return run


@pytest.mark.parametrize("path", RUNS)
async def test_the_fields_are_those_that_are_documented(
    log: EventLog, run: Commands, archive: str, path: str
) -> None:
    told, header = await told_by(log, run, path, archive)
    seen = {name for one in told for name in names_in(one)}
    seen -= {name for name in seen if any(one.startswith(f"{name}[].") for one in seen)}
    assert seen == documented()[path]
    if path not in WRITING:
        assert header == columns(seen)


@pytest.mark.parametrize("path", WRITING)
async def test_what_was_done_has_the_fields_that_are_documented_as_its_header(
    run: Commands, archive: str, path: str
) -> None:
    [arguments] = RUNS[path]
    words = [archive if one == ARCHIVE else one for one in arguments]
    printed = await run(command_of(path), *words, "-o", "csv")
    assert end_of(printed) == 0, printed.output
    header, _ = csv.reader(printed.stdout.splitlines()[-2:])
    of_a_gap = {"after", "until"} if path == "archive run" else set()
    assert set(header) == columns(documented()[path]) | of_a_gap


def test_every_section_is_checked() -> None:
    assert documented().keys() == RUNS.keys()
