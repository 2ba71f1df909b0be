"""The retention process: trims by its settings, says what it did, and who holds it back."""

import os
import signal
import subprocess
import time
from typing import Any

import anyio
import pytest

from consumers.cli.consume import groups_to_run
from consumers.errors import MissingSettingError
from consumers.processes.embedded import EmbeddedServer
from consumers.processes.retention_process import Retention
from consumers.processes.supervisor import routestream_command
from consumers.retention.settings import RETENTION, RetentionSettings
from consumers.settings import Settings
from events.log.log import EventLog, open_log
from events.log.positions import Positions
from tests.events.support.old_entries import acknowledge, add_old, create, old_id, read, there
from tests.support.log_lines import captured_lines
from tests.support.waiting import wait_until

ALONE = RetentionSettings(keep_s=3_600, without_archive=True, without_snapshot=True, held_max=3)
"""For logs of which there is neither an archive nor a snapshot."""


async def trim(log: EventLog, settings: RetentionSettings = ALONE) -> list[dict[str, Any]]:
    with captured_lines() as logs:
        await Retention(log, settings).trim()
    return [dict(one) for one in logs]


async def test_what_was_removed_is_told_in_one_line(log: EventLog) -> None:
    await add_old(log, 10)
    await create(log, "readers")
    await acknowledge(log, "readers", *(await read(log, "readers", 8))[:6])

    assert await trim(log) == [
        {
            "event": "log_trimmed",
            "log_level": "info",
            "partition": 0,
            "removed": 6,
            "to": str(old_id(6)),
            "held_by": ["group:readers"],
            "held_entries": 4,
        }
    ]


async def test_without_an_archive_nothing_goes_and_that_is_said_once(log: EventLog) -> None:
    await add_old(log, 10)
    for projection in ("route-table", "health-state"):
        await Positions(log.server, log.keys, 0).advance(f"snapshot:{projection}", old_id(9))
    retention = Retention(log, RetentionSettings(keep_s=3_600, held_max=3))

    with captured_lines() as logs:
        assert await retention.trim() == 0
        assert await retention.trim() == 0

    [warned] = [one for one in logs if one["event"] == "trim_held_back"]
    assert (warned["held_by"], warned["held_entries"]) == ("archive", 4)
    assert "routestream archive run" in warned["what_to_do"]
    assert len(await there(log)) == 10


async def test_with_archive_and_snapshots_it_trims_up_to_the_lowest(log: EventLog) -> None:
    await add_old(log, 10)
    positions = Positions(log.server, log.keys, 0)
    for holder, number in (
        ("archive", 7),
        ("snapshot:route-table", 8),
        ("snapshot:health-state", 4),
    ):
        await positions.advance(holder, old_id(number))

    [line] = await trim(log, RetentionSettings(keep_s=3_600))

    assert (line["removed"], line["held_by"]) == (4, ["snapshot:health-state"])


@pytest.mark.parametrize(("behind", "is_warned_of"), [(3, False), (4, True)])
async def test_a_group_that_nobody_reads_for_is_warned_of_when_it_holds_much_back(
    log: EventLog, behind: int, *, is_warned_of: bool
) -> None:
    await add_old(log, 10)
    await create(log, "left", str(old_id(10 - behind)))

    lines = await trim(log)

    warned = [one for one in lines if one["event"] == "trim_held_back"]
    assert [one["held_by"] for one in warned] == (["group:left"] if is_warned_of else [])
    assert all("routestream groups remove left" in one["what_to_do"] for one in warned)


async def test_a_living_group_is_not_warned_of(log: EventLog) -> None:
    await add_old(log, 10)
    await create(log, "readers")
    await read(log, "readers", 1)

    assert "trim_held_back" not in [one["event"] for one in await trim(log)]


async def test_several_at_once_remove_each_entry_once(log: EventLog) -> None:
    await add_old(log, 2_000)
    removed: list[int] = []

    async def one() -> None:
        removed.append(await Retention(log, ALONE).trim())

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(one)

    assert sum(removed) == 1_999
    assert await there(log) == [old_id(1_999)]


async def test_a_log_of_somebody_else_is_left_alone(log: EventLog) -> None:
    await add_old(log, 10)
    await log.server.client.call("DEL", log.keys.layout)

    assert await trim(log) == []
    assert len(await there(log)) == 10


async def test_without_a_time_to_keep_there_is_no_retention(log: EventLog) -> None:
    with pytest.raises(MissingSettingError, match=r"retention\.keep_s is not set"):
        Retention(log, RetentionSettings())


def test_it_runs_with_all_others_only_where_it_is_configured() -> None:
    configured = Settings(retention=RetentionSettings(3_600))
    assert RETENTION not in groups_to_run(None, Settings())
    assert groups_to_run(None, configured)[-1] == RETENTION
    assert groups_to_run(RETENTION, configured) == [RETENTION]
    with pytest.raises(MissingSettingError):
        groups_to_run(RETENTION, Settings())


@pytest.mark.parametrize(
    "wrong", [{"keep_s": 60.0}, {"interval_s": 0.5}, {"held_max": 0}, {"keep_s": float("nan")}]
)
def test_settings_out_of_their_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetentionSettings(**wrong)


async def test_it_waits_for_a_server_that_is_away_and_goes_on(own_server: EmbeddedServer) -> None:
    async with open_log(own_server.url) as log:
        await add_old(log, 10)
        retention = Retention(log, RetentionSettings(3_600, 1.0, True, True))  # noqa: FBT003
        own_server.kill()
        with captured_lines() as logs:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(retention.run)
                await wait_until(lambda: len(logs) > 1, "it has failed twice")
                own_server.start()
                await wait_until(lambda: logs[-1]["event"] == "log_trimmed", "the log is trimmed")
                await retention.stop()
        assert await there(log) == [old_id(9)]
    assert {one["event"] for one in logs} == {"server_unavailable", "log_trimmed"}


async def test_a_process_trims_and_stops_at_once(redis_url: str, log: EventLog) -> None:
    await add_old(log, 10)
    environment = {
        **os.environ,
        "REDIS_URL": redis_url,
        "ROUTESTREAM_NAMESPACE": log.keys.namespace,
        "ROUTESTREAM_RETENTION_KEEP_S": "3600",
        "ROUTESTREAM_RETENTION_WITHOUT_ARCHIVE": "true",
        "ROUTESTREAM_RETENTION_WITHOUT_SNAPSHOT": "true",
    }
    command = routestream_command("consume", "retention")
    quiet = subprocess.DEVNULL
    process = await anyio.open_process(command, stdin=quiet, stderr=quiet, env=environment)
    async with process:

        async def is_trimmed() -> bool:
            return await there(log) == [old_id(9)]

        await wait_until(is_trimmed, "the log is trimmed")
        asked_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            assert await process.wait() == 0
    assert time.monotonic() - asked_at < 5.0  # far from the minute between two trims
