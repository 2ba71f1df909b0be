"""A read model that is lost, together with the beginning of the log it was folded from."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from consumers.runtime.consumer import Consumer
from consumers.runtime.projector import Projector
from events import EventLog
from events.entry.entry_id import EntryId
from events.history.history import History
from events.retention.retention import KEEP_MIN_S, RetentionRule
from events.retention.trim import Trim
from events.server.server import now_of
from projections.catalogue import PROJECTIONS
from projections.projection import Projection
from projections.read_model.reader import ReaderSettings, open_reader
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots
from tests.events.support.archives import archive_in, in_stream, run
from tests.support.appending import Appending
from tests.support.log_lines import captured_lines
from tests.support.projectors import store_of
from tests.support.running_consumer import QUICK, consuming, members, pending, until_settled
from tests.support.told import Told
from tests.support.waiting import wait_until
from tests.support.watching import Watching

of_each = pytest.mark.parametrize("of", PROJECTIONS.values(), ids=PROJECTIONS)
_LATER_MS = 86_400_000


def projecting(log: EventLog, of: Projection[Any], snapshots: Snapshots) -> Consumer:
    projector = Projector(log, of, 0, QUICK.policy, snapshots)
    return Consumer(log, 0, (of.read_model, "one"), projector, QUICK)


async def trim(log: EventLog) -> None:
    """Trim a day later what every group has ended, in a snapshot and archived or not."""
    rule = RetentionRule(KEEP_MIN_S, (), ("archive", "snapshot"))
    later_ms = round((await now_of(log.server)).timestamp() * 1_000) + _LATER_MS
    async for _ in Trim(log, 0, rule).steps(later_ms):
        pass


async def lose(log: EventLog, of: Projection[Any]) -> None:
    """Let nothing be left of the read model but the number of its last generation."""
    live = await store_of(log, of).live_generation()
    assert live is not None
    lost = (log.keys.live(0, of.read_model), log.keys.documents(0, of.read_model, live))
    await log.server.client.call("DEL", *lost)


async def documents(log: EventLog, of: Projection[Any]) -> dict[UUID, bytes]:
    live = await store_of(log, of).live_generation()
    assert live is not None
    raw = await log.server.client.execute_command(
        "HGETALL", log.keys.documents(0, of.read_model, live)
    )
    return {UUID(endpoint.decode()): document for endpoint, document in raw.items()}


def told_by(appending: Appending) -> Told:
    told = Told()
    told.events = appending.acknowledged
    return told


@of_each
@pytest.mark.parametrize("has_snapshot", [True, False], ids=["snapshot", "no-snapshot"])
async def test_it_is_built_again_of_snapshot_and_archive_and_stream(
    log: EventLog, tmp_path: Path, of: Projection[Any], *, has_snapshot: bool
) -> None:
    archive = archive_in(tmp_path / "archive", log)
    snapshots = Snapshots(History(log, archive), 0, SnapshotSettings(str(tmp_path / "snapshots")))
    appending = Appending(log, 5, [uuid4() for _ in range(4)])
    async with consuming(projecting(log, of, snapshots)):
        await appending.run(20)
        await until_settled(log, of.read_model)
        manifest, _ = await snapshots.take(store_of(log, of))
        await appending.run(20)
        await until_settled(log, of.read_model)
    await run(log, archive)
    await trim(log)
    first = EntryId.parse((await in_stream(log))[0][0])
    assert manifest.at < first, "what lies between snapshot and stream is in the archive only"
    await appending.run(20)
    if not has_snapshot:
        (snapshots.folder / manifest.file).unlink()
    await lose(log, of)

    async with consuming(projecting(log, of, snapshots)):
        await until_settled(log, of.read_model)

    assert told_by(appending).wrong(of.read_model, await documents(log, of)) == []


async def test_without_an_archive_it_says_what_is_missing_and_readers_keep_what_they_have(
    log: EventLog, tmp_path: Path
) -> None:
    snapshots = Snapshots(log, 0, SnapshotSettings(str(tmp_path)))
    group = ROUTE_TABLE.read_model
    appending = Appending(log, 5, [uuid4() for _ in range(4)])
    async with consuming(projecting(log, ROUTE_TABLE, snapshots)):
        await appending.run(30)
        await until_settled(log, group)
    async with open_reader(log, ReaderSettings(block_ms=20, audit_s=0.2)) as reader:
        watching = Watching(reader)
        heads = told_by(appending).heads()
        assert watching.versions() == heads
        await trim(log)
        with captured_lines() as logs:
            await lose(log, ROUTE_TABLE)
            await appending.run(10)

            def is_said_again() -> bool:
                return [one["event"] for one in logs].count("history_missing") > 2

            async with consuming(projecting(log, ROUTE_TABLE, snapshots)):
                await wait_until(is_said_again, "it says what is missing, again and again")
                await wait_until(
                    lambda: any(one["event"] == "generation_missing" for one in logs),
                    "the reader has noticed",
                )
        watching.look()
        assert watching.versions() == heads
        assert watching.went_back == []
        assert reader.age_s > 0
    assert await store_of(log).live_generation() is None
    assert await pending(log, group) == {}
    assert await members(log, group) == []
    told = next(one for one in logs if one["event"] == "history_missing")
    assert "a newer snapshot, or an archive of them, is needed" in told["error"]
