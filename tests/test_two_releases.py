"""Two releases side by side: the newer one keeps version 2 of the route table beside version 1."""

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from subprocess import DEVNULL, CompletedProcess
from typing import Any

import anyio
import pytest

from consumers.processes.supervisor import routestream_command
from events import EventLog
from events.log.positions import Positions
from events.retention.known_snapshots import read_known_snapshots
from tests.consumers.support.terminal import environment_of, run_in_terminal
from tests.events.support.old_entries import add_old, old_id, there
from tests.support.histories import ROUTES, E, created, listed, record
from tests.support.read_model import live_documents
from tests.support.running_consumer import until_settled
from tests.support.waiting import wait_until

NEWER = [sys.executable, "-m", "tests.support.second_release"]
OLDER_GROUPS = ("route-table", "health-state")
NEWER_GROUPS = ("route-table-v2", "health-state")
DEADLINE_S = 60.0


class Release:
    """One release of the program, run as a person and as a process manager run it."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.command = command
        self.environment = environment

    async def run(self, *arguments: str) -> CompletedProcess[bytes]:
        with anyio.fail_after(DEADLINE_S):
            return await anyio.run_process(
                [*self.command, *arguments], env=self.environment, check=False
            )

    async def shown(self, *arguments: str, code: int = 0) -> str:
        """Return what a command prints on both its outputs, once it ended with *code*."""
        done = await self.run(*arguments)
        told = (done.stdout + done.stderr).decode()
        assert done.returncode == code, told
        return told

    async def read(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        done = await self.run(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    @asynccontextmanager
    async def consuming(self, *projections: str) -> AsyncIterator[None]:
        """Let a process consume for each of *projections* meanwhile; each stops softly."""
        started = []
        try:
            for name in projections:
                words = [*self.command, "consume", name]
                started.append(
                    await anyio.open_process(
                        words, env=self.environment, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
                    )
                )
            yield
            for process in started:
                process.send_signal(SIGTERM)
            with anyio.fail_after(DEADLINE_S):
                codes = [await process.wait() for process in started]
            assert codes == [0] * len(started)
        finally:
            for process in started:
                if process.returncode is None:
                    process.kill()


@pytest.fixture
def environment(redis_url: str, namespace: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(
        redis_url,
        namespace,
        ROUTESTREAM_SNAPSHOTS_DIRECTORY=str(tmp_path / "snapshots"),
        ROUTESTREAM_CONSUMER_BLOCK_MS="100",
    )


@pytest.fixture
def older(environment: dict[str, str]) -> Release:
    return Release(routestream_command(), environment)


@pytest.fixture
def newer(environment: dict[str, str]) -> Release:
    return Release(NEWER, environment)


@asynccontextmanager
async def both_consuming(log: EventLog, older: Release, newer: Release) -> AsyncIterator[None]:
    """Let both releases consume, the newer one of a log that the older one has folded."""
    await log.append(created(), listed(record(status="running", traffic_ratio=0.5)))
    async with older.consuming("route-table", "health-state"):
        await settled(log, *OLDER_GROUPS)
        async with newer.consuming("route-table"):
            await settled(log, *NEWER_GROUPS)
            yield


async def settled(log: EventLog, *groups: str) -> None:
    for group in groups:
        await until_settled(log, group)


async def relied_on(log: EventLog, read_model: str, at: str | None = None) -> None:
    """Wait until retention relies on the snapshot taken last, which is the one *at* if given."""
    known = await read_known_snapshots(log.server.client.call, log.keys, 0)
    [taken] = [one for one in known if (one.read_model, one.process) == (read_model, "")]
    assert at in {None, str(taken.at)}
    positions = Positions(log.server, log.keys, 0)

    async def is_relied_on() -> bool:
        return await positions.of(f"snapshot:{read_model}") == taken.at

    await wait_until(is_relied_on, f"every projector of {read_model} has read its snapshot")


async def names_in(log: EventLog, read_model: str) -> list[bytes]:
    """Return the names in the documents that lie under the read model's keys."""
    live = await log.server.client.execute_command("GET", log.keys.live(0, read_model))
    raw = await log.server.client.execute_command(
        "HVALS", log.keys.documents(0, read_model, int(live))
    )
    return [found for document in raw for found in re.findall(rb'"name":"(\w+)"', document)]


async def test_each_release_folds_and_shows_its_own_documents(
    log: EventLog, older: Release, newer: Release
) -> None:
    async with both_consuming(log, older, newer):
        assert await names_in(log, "route-table") == [b"chat"]
        assert await names_in(log, "route-table-v2") == [b"CHAT"]
        for release, name, group in (
            (older, "chat", "route-table"),
            (newer, "CHAT", "route-table-v2"),
        ):
            [listed_one] = await release.read("endpoints", "ls")
            assert (listed_one["name"], listed_one["knowledge"]["group"]) == (name, group)
            assert listed_one["knowledge"]["behind_s"] == 0
            shown = await release.read("endpoints", "show", name)
            assert shown["knowledge"]["group"] == group
            then = await release.read("endpoints", "show", name, "--as-of", "end")
            assert then["name"] == name
            groups = {one["group"] for one in await release.read("groups", "ls")}
            assert groups == {"route-table", "route-table-v2", "health-state"}


async def test_doctor_and_check_look_at_the_read_models_of_their_own_release(
    log: EventLog, older: Release, newer: Release
) -> None:
    async with both_consuming(log, older, newer):
        for release, own, other in (
            (older, "route-table", "route-table-v2"),
            (newer, "route-table-v2", "route-table"),
        ):
            about = {one["about"]: one["severity"] for one in await release.read("doctor")}
            assert about[f"read model {own}, partition 0"] == "ok"
            assert f"read model {other}, partition 0" not in about
            assert (about[f"group {own}, partition 0"], about[f"group {other}, partition 0"]) == (
                "ok",
                "ok",
            )
            assert (await release.shown("check", "--group", own)).startswith("OK")
    # Nobody is left who would build it anew.
    await log.server.client.call("HDEL", await live_documents(log, "route-table-v2"), str(E))
    assert "read model route-table-v2" in await newer.shown("check", code=2)
    assert "read model" not in await older.shown("check", code=1)


async def test_a_command_decides_on_the_position_and_the_documents_of_one_read_model(
    log: EventLog, older: Release, newer: Release
) -> None:
    async with both_consuming(log, older, newer):
        pass
    await log.append(listed(record(0, status="running"), record(1, status="running")))
    async with older.consuming("route-table"):
        await settled(log, "route-table")
    # Version 2 has folded nothing of it, but its command sees it all the same.
    plan = await newer.shown("routes", "ratio", str(E), str(ROUTES[1]), "0.25", "--yes")
    assert "0.25" in plan
    reset = ("groups", "reset", "route-table-v2", "--to", "end", "--force", "--yes")
    assert "its documents stay as they are" in await newer.shown(*reset)


async def test_each_release_rebuilds_verifies_and_rolls_back_its_own_read_model(
    log: EventLog, older: Release, newer: Release
) -> None:
    async with both_consuming(log, older, newer):
        older_live = [await live_documents(log, one) for one in OLDER_GROUPS]
        live = await live_documents(log, "route-table-v2")
        [rebuilt] = await newer.read("replay", "rebuild", "route-table", "--yes")
        assert live.endswith(f":{rebuilt['before']}")
        assert (await live_documents(log, "route-table-v2")).endswith(f":{rebuilt['generation']}")
        assert rebuilt["comparison"]["differences"] == []
        for release in (older, newer):
            [verified] = await release.read("replay", "verify", "route-table")
            assert (verified["endpoints"], verified["differences"]) == (1, [])
        [back] = await newer.read("replay", "rollback", "route-table", "--yes")
        assert back["before"] == rebuilt["generation"]
        assert await live_documents(log, "route-table-v2") == live
        assert [await live_documents(log, one) for one in OLDER_GROUPS] == older_live
        assert await names_in(log, "route-table-v2") == [b"CHAT"]


async def test_each_release_keeps_and_goes_on_from_its_own_snapshots(
    log: EventLog, older: Release, newer: Release
) -> None:
    async with both_consuming(log, older, newer):
        [first] = await older.read("snapshot", "take", "route-table")
        [second] = await newer.read("snapshot", "take", "route-table", "--keep", "1")
        assert [one["version"] for one in (first, second)] == [1, 2]
        assert [one["verified"] for one in (first, second)] == [True, True]
        await relied_on(log, "route-table", first["position"])
        await relied_on(log, "route-table-v2", second["position"])
        # The newest of the older release is still there, and is what it begins with.
        assert {one["version"] for one in await newer.read("snapshot", "ls")} == {1, 2}
        restored = await older.shown("snapshot", "restore", "route-table", "--yes")
        assert first["position"] in restored
        assert await names_in(log, "route-table") == [b"chat"]


async def test_after_the_switch_the_older_version_holds_nothing_back(
    log: EventLog, older: Release, newer: Release
) -> None:
    trim = ("streams", "trim", "--without", "archive", "--yes")
    await add_old(log, 10)
    async with newer.consuming("route-table", "health-state"):
        async with older.consuming("route-table"):
            await settled(log, "route-table", *NEWER_GROUPS)
            await older.shown("snapshot", "take")
            await relied_on(log, "route-table")
            held = await newer.shown(*trim)
            assert "snapshot:route-table-v2 holds everything back" in held
            assert "`routestream snapshot take route-table`" in held
            refused = await newer.shown("groups", "remove", "route-table", "--yes", code=1)
            assert "is being read by" in refused
        await add_old(log, 10, first=10)
        await log.append(created(), listed(record(status="running", traffic_ratio=0.5)))
        await settled(log, *NEWER_GROUPS)
        await newer.shown("snapshot", "take")
        for group in NEWER_GROUPS:
            await relied_on(log, group)
        held = await newer.shown(*trim)
        assert f"group:route-table holds back all from {old_id(9)} on" in held
        assert "`routestream groups remove route-table`" in held
        assert len(await there(log)) == 13

        await newer.shown("groups", "remove", "route-table", "--yes")
        await newer.shown(*trim)
        assert len(await there(log)) == 2
        holders = {*await Positions(log.server, log.keys, 0).all()} - {"trimmed"}
        groups = {f"group:{one}" for one in NEWER_GROUPS}
        assert holders - groups == {"snapshot:route-table-v2", "snapshot:health-state"}
        assert (await newer.shown("check")).startswith("OK")
        drawn = await run_in_terminal([*NEWER, "top"], newer.environment, 120, until="CHAT")
        assert "no group folds" not in drawn
