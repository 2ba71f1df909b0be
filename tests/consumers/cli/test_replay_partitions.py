"""Replay of a log of several partitions: what is done, and what is left as it was."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from consumers.cli.replay.rebuild import replay
from consumers.cli.replay.snapshot import snapshot
from consumers.cli.replay.verify import verify
from events import EntryId, EventLog, open_log
from events.log.keys import partition_of
from projections.errors import HistoryMissingError, NoLiveGenerationError
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from tests.consumers.support.commands import Commands, end_of
from tests.support.running_consumer import created

PARTITIONS = 3


@pytest.fixture
async def three(redis_url: str, namespace: str) -> AsyncIterator[EventLog]:
    async with open_log(redis_url, namespace=namespace, partitions=PARTITIONS) as log:
        yield log


@pytest.fixture
def run(redis_url: str, namespace: str, tmp_path: Path) -> Commands:
    commands = Commands(redis_url, namespace)
    commands.configure(snapshots=SnapshotSettings(str(tmp_path)))
    return commands


@pytest.fixture
async def endpoints(three: EventLog) -> dict[int, UUID]:
    """One endpoint of two events in each partition, by partition; all of them live."""
    found: dict[int, UUID] = {}
    while len(found) < PARTITIONS:
        endpoint_id = uuid4()
        found.setdefault(partition_of(endpoint_id, PARTITIONS), endpoint_id)
    await three.append(*(created(one) for one in [*found.values(), *found.values()]))
    for partition in range(PARTITIONS):
        await build(three, store_of(three, partition))
    return found


def store_of(log: EventLog, partition: int) -> ReadModelStore:  # type: ignore[type-arg]
    return ReadModelStore(log.server, log.keys, ROUTE_TABLE, partition)


async def generations(log: EventLog) -> list[int | None]:
    return [await store_of(log, one).live_generation() for one in range(PARTITIONS)]


async def test_entries_that_are_missing_anywhere_are_told_before_anything_is_done(
    three: EventLog, run: Commands, endpoints: dict[int, UUID]
) -> None:
    stream = three.keys.events(1)
    last, live = await three.head(1), await generations(three)
    assert last > EntryId(0, 0)
    await three.server.client.call("XTRIM", stream, "MAXLEN", 1)

    refused = await run(replay, "rebuild", "route-table", "--yes")

    assert isinstance(refused.exception, HistoryMissingError)
    assert "partition 1" in str(refused.exception)
    assert await generations(three) == live
    assert len(endpoints) == PARTITIONS


@pytest.mark.parametrize("form", ["table", "jsonl"])
async def test_where_one_cannot_be_rebuilt_those_before_are_told_and_the_rest_is_named(
    three: EventLog, run: Commands, endpoints: dict[int, UUID], form: str
) -> None:
    await three.server.client.call("DEL", three.keys.events(1))
    before = await generations(three)

    failed = await run(replay, "rebuild", "route-table", "--yes", "-o", form)

    assert end_of(failed) == 1
    assert f"partition 1: the live document of endpoint {endpoints[1]}" in str(failed.exception)
    assert "left as it was: partition 1, 2\n" in failed.stderr
    if form == "table":
        header, row = failed.stdout.splitlines()
        assert header.split()[:3] == ["PARTITION", "BEFORE", "LIVE"]
        assert row.split()[:3] == ["0", str(before[0]), str((await generations(three))[0])]
    else:
        done = [json.loads(line) for line in failed.stdout.splitlines()][-1]
        assert (done["phase"], done["partition"]) == ("done", 0)
        assert done["generation"] == (await generations(three))[0]
    assert (await generations(three))[0] != before[0]
    assert (await generations(three))[1:] == before[1:]


async def test_an_endpoint_is_only_looked_for_in_its_own_partition(
    three: EventLog, run: Commands, endpoints: dict[int, UUID]
) -> None:
    live = await generations(three)
    elsewhere = ("--endpoint", str(endpoints[2]), "--partition", "0", "--yes")
    refused = await run(replay, "rebuild", "route-table", *elsewhere)
    assert refused.exit_code == 2
    assert "--partition 0: that endpoint is in 2" in refused.stderr
    assert await generations(three) == live


@pytest.mark.usefixtures("endpoints")
@pytest.mark.parametrize("command", [(verify,), (snapshot, "take")], ids=["verify", "take"])
async def test_where_one_is_not_live_the_others_are_looked_at_all_the_same(
    three: EventLog, run: Commands, command: tuple[Any, ...]
) -> None:
    await three.server.client.call("DEL", three.keys.live(1, ROUTE_TABLE.name))
    told = await run(*command, "route-table", "-o", "jsonl")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    if command == (verify,):
        assert isinstance(told.exception, NoLiveGenerationError)
        assert "no live generation in partition 1;" in str(told.exception)
        assert [(one["partition"], one["differences"]) for one in lines] == [(0, []), (2, [])]
    else:
        assert end_of(told) == 1
        assert [(one["partition"], one["verified"]) for one in lines] == [
            (0, True),
            (1, None),
            (2, True),
        ]


async def test_where_one_has_lost_entries_snapshots_of_the_others_are_taken(
    three: EventLog, run: Commands, endpoints: dict[int, UUID]
) -> None:
    await three.server.client.call("XTRIM", three.keys.events(1), "MAXLEN", 1)
    told = await run(snapshot, "take", "route-table", "-o", "jsonl")
    assert isinstance(told.exception, HistoryMissingError)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [one["partition"] for one in lines] == [0, 2]
    assert len(endpoints) == PARTITIONS


@pytest.mark.usefixtures("endpoints")
async def test_a_partition_that_is_not_there_is_a_usage_error(run: Commands) -> None:
    assert (await run(verify, "route-table", "--partition", "3")).exit_code == 2
