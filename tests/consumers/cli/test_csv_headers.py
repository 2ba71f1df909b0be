"""The header of CSV: a command that lists always has the same one, whatever there is to list."""

import csv
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest

from consumers.cli.command_tree import routestream
from docs.pages.cli_pages import root_context, walk
from events import EndpointCreatedEvent, EventLog, open_log
from projections.health_state.health_state import HEALTH_STATE
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from tests.consumers.cli.test_json_fields import CHAT, command_of, fill, more_to_show
from tests.consumers.support.commands import Commands, end_of

LISTINGS = (
    *("events tail", "events range start..", "events grep a start..", "events stats"),
    *("events trace chat", "streams ls", "streams trim --dry-run"),
    *("groups ls", "groups pending late", "groups losses late", "dead ls"),
    "proxies ls",
    *("dead requeue --all --dry-run", "dead drop --all --dry-run"),
    *("endpoints ls", "endpoints ls --as-of end", "health ls"),
    *("archive ls", "archive check", "snapshot ls"),
    *("replay show --as-of end", "replay show --as-of end --projection health-state"),
    "replay diff --from start",
)
NOTHING = {
    "events trace chat": "events trace chat --from end",
    "endpoints ls --as-of end": "endpoints ls",
}
"""What is said to be shown nothing, where it is not the same on an empty log."""

NEVER_EMPTY = {
    *(
        "config show",
        "doctor",
        "endpoints why",
        "events export",
        "groups show",
        "model-definition check",
        "replay verify",
        "routes suggest-removal",
        "snapshot take",
    ),
}
"""They list something or fail; that their header is complete is seen in `test_json_fields`."""

ONE_VALUE = {f"{noun} show" for noun in ("dead", "endpoints", "events", "health", "streams")}


@pytest.fixture
async def empty(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    """A log in which there is nothing of what is listed."""
    async with open_log(redis_url, namespace=f"{namespace}-empty") as opened:
        yield opened


def commands_on(log: EventLog, redis_url: str, directory: Path) -> Commands:
    run = Commands(redis_url, log.keys.namespace)
    run.configure(snapshots=SnapshotSettings(str(directory / log.keys.namespace)))
    return run


def command_path(line: str) -> str:
    return " ".join(line.split()[:2])


async def make_listable(log: EventLog, path: str) -> None:
    """Let there be what is asked about, and nothing of it."""
    if path in {"endpoints ls", "health ls"}:
        for projection in (ROUTE_TABLE, HEALTH_STATE):
            await build(log, ReadModelStore(log.server, log.keys, projection, 0))
    if path in {"groups pending", "groups losses"}:
        stream = log.keys.events(0)
        await log.server.client.call("XGROUP", "CREATE", stream, "late", "0", "MKSTREAM")
    if path == "events trace":
        await log.append(EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m"))


async def printed(run: Commands, line: str, archive: Path) -> list[list[str]]:
    path = command_path(line)
    words = line.split()[2:]
    if path.startswith("archive"):
        words += ["--location", str(archive)]
    result = await run(command_of(path), *words, "-o", "csv")
    assert end_of(result) in {0, 1}, result.output
    return list(csv.reader(StringIO(result.stdout)))


@pytest.mark.parametrize("line", LISTINGS)
async def test_a_listing_has_the_same_header_with_and_without_rows(
    log: EventLog, empty: EventLog, redis_url: str, tmp_path: Path, line: str
) -> None:
    path = command_path(line)
    await make_listable(empty, path)
    run = commands_on(empty, redis_url, tmp_path)
    [header] = await printed(run, NOTHING.get(line, line), tmp_path / "nothing")
    await fill(log)
    run = commands_on(log, redis_url, tmp_path)
    await more_to_show(log, run, path, str(tmp_path / "archive"))
    [same, *rows] = await printed(run, line, tmp_path / "archive")
    assert (same, len(rows) > 0) == (header, True)


async def test_what_was_done_has_its_header_where_nothing_was(
    log: EventLog, redis_url: str, tmp_path: Path
) -> None:
    await log.append(EndpointCreatedEvent(endpoint_id=CHAT, name="chat", model="m"))
    run = commands_on(log, redis_url, tmp_path)
    line = "archive run --to end --yes"
    header, *rows = await printed(run, line, tmp_path)
    assert rows
    assert await printed(run, line, tmp_path) == [header]
    assert await printed(run, "streams trim --yes", tmp_path) == [["partition", "removed", "cut"]]


def test_every_reading_command_is_looked_at() -> None:
    reading = {
        context.command_path.removeprefix("routestream ")
        for command, context in walk(routestream, root_context())
        if {parameter.name for parameter in command.params} & {"output", "yes"} == {"output"}
    }
    listing = {command_path(line) for line in LISTINGS if "--dry-run" not in line}
    with_an_option = {"groups losses"}  # it writes with --ack alone
    assert reading | with_an_option == listing | NEVER_EMPTY | ONE_VALUE
