"""A projector that finds no live generation, and a log that does not begin at its beginning."""

from pathlib import Path
from uuid import uuid4

import pytest

from consumers.runtime.consumer import Consumer
from consumers.runtime.projector import Projector
from events import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots
from tests.support.appending import Appending, truth
from tests.support.log_lines import captured_lines
from tests.support.projectors import store_of
from tests.support.running_consumer import QUICK, consuming, states, until_settled
from tests.support.waiting import wait_until


@pytest.fixture
def snapshots(log: EventLog, tmp_path: Path) -> Snapshots:
    return Snapshots(log, 0, SnapshotSettings(str(tmp_path)))


def projecting(log: EventLog, snapshots: Snapshots) -> Consumer:
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy, snapshots)
    return Consumer(log, 0, (ROUTE_TABLE.read_model, "one"), projector, QUICK)


async def test_from_a_trimmed_log_it_builds_nothing_says_what_is_missing_and_waits(
    log: EventLog, snapshots: Snapshots
) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(3)])
    await appending.run(20)
    manifest, _ = await snapshots.take(store_of(log))
    hidden = (snapshots.folder / manifest.file).rename(snapshots.folder / "elsewhere")
    cut = manifest.at.after()
    await appending.run(20)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", str(cut))
    with captured_lines() as logs:
        async with consuming(projecting(log, snapshots)):
            await wait_until(
                lambda: any(one["event"] == "history_missing" for one in logs), "it says so"
            )
            assert await store_of(log).live_generation() is None
            hidden.rename(snapshots.folder / manifest.file)
            await until_settled(log, ROUTE_TABLE.read_model)
    [told, *_] = [one for one in logs if one["event"] == "history_missing"]
    assert "entries after 0-0 were deleted" in told["error"]
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])
