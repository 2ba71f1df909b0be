import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from consumers.cli.groups.show import show_group
from consumers.processes.supervisor import Supervisor, routestream_command
from events.errors import NoGroupError
from events.log.log import EventLog
from tests.consumers.support.commands import Commands
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import fill, members, until_settled
from tests.support.waiting import wait_until

STAYS = "import sys; sys.stdin.read()"
SIGNS = """
import socket, time

with socket.socket(fileno=0) as supervisor:
    while True:
        supervisor.send(b".")
        time.sleep(0.1)
"""
HANGS = """
import socket, time

with socket.socket(fileno=0) as supervisor:
    supervisor.send(b".")
    time.sleep(600)
"""
CRASHES = "raise SystemExit(3)"
TELLS = """
import pathlib, signal, sys

def stop(*_):
    pathlib.Path(sys.argv[1]).write_text("stopped softly")
    raise SystemExit(0)

signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1]).write_text("ready")
sys.stdin.read()
"""


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-P", "-c", program, *arguments]


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@asynccontextmanager
async def supervising(
    commands: Mapping[str, Sequence[str]], running: int | None = None
) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(commands)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.keep_running)
        await until_running(supervisor, len(commands) if running is None else running)
        yield supervisor
        with anyio.fail_after(20):
            await supervisor.stop()


async def until_running(supervisor: Supervisor, count: int) -> None:
    async def running() -> bool:
        return len(supervisor.pids) == count

    await wait_until(running, f"{count} processes run")


async def test_each_command_gets_a_process_of_its_own() -> None:
    commands = {f"child-{number}": python(STAYS) for number in range(5)}
    async with supervising(commands) as supervisor:
        pids = supervisor.pids
        assert set(pids) == set(commands)
        assert len(set(pids.values())) == 5

    assert supervisor.pids == {}
    assert not any(map(is_alive, pids.values()))


async def test_a_process_that_is_killed_is_started_again_and_the_others_stay() -> None:
    commands = {name: python(STAYS) for name in ("killed", "other")}
    with captured_lines() as logs:
        async with supervising(commands) as supervisor:
            before = supervisor.pids
            os.kill(before["killed"], signal.SIGKILL)

            async def is_another() -> bool:
                return supervisor.pids.get("killed") not in {None, before["killed"]}

            await wait_until(is_another, "another process took its place")
            assert supervisor.pids["other"] == before["other"]

    [crash] = [one for one in logs if one["event"] == "process_crashed"]
    assert (crash["name"], crash["code"]) == ("killed", -signal.SIGKILL)


async def test_a_command_that_crashes_at_once_is_started_ever_more_seldom() -> None:
    with captured_lines() as logs:
        async with (
            supervising({"sound": python(STAYS)}) as other,
            supervising({"broken": python(CRASHES)}, running=0),
        ):
            sound = other.pids
            began_at = monotonic()

            async def crashed_often() -> bool:
                return len(crashes(logs)) >= 4

            await wait_until(crashed_often, "it has crashed four times")
            lasted_s = monotonic() - began_at
            assert other.pids == sound

    delays = [one["restart_s"] for one in crashes(logs)][:4]
    assert lasted_s >= sum(delays[1:3])
    for place, delay_s in enumerate(delays):
        most_s = 0.2 * 2**place
        assert most_s / 2 <= delay_s <= most_s
    assert {one["code"] for one in crashes(logs)} == {3}


def crashes(logs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in logs if one["event"] == "process_crashed"]


async def test_stopping_lets_each_process_stop_softly(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two", "three")]
    commands = {file.name: python(TELLS, str(file)) for file in files}

    async def all_ready() -> bool:
        return all(file.exists() and file.read_text() == "ready" for file in files)

    with captured_lines() as logs:
        async with supervising(commands):
            await wait_until(all_ready, "all processes can be stopped")

    assert [file.read_text() for file in files] == ["stopped softly"] * 3
    assert {one["event"] for one in logs} == {"process_supervised"}


async def test_stopping_does_not_wait_for_a_restart() -> None:
    supervisor = Supervisor({"broken": python(CRASHES)})
    with captured_lines() as logs, anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervisor.keep_running)

            async def crashed() -> bool:
                return len(crashes(logs)) >= 2

            await wait_until(crashed, "it has crashed")
            await supervisor.stop()


async def test_a_process_that_is_being_started_while_stopping_is_stopped_too() -> None:
    for ticks in range(6):
        supervisor = Supervisor({"child": python(STAYS)})
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(supervisor.keep_running)
                for _ in range(ticks):
                    await anyio.lowlevel.checkpoint()
                await supervisor.stop()
        assert supervisor.pids == {}


async def test_when_the_supervisor_is_cut_off_its_processes_are_killed() -> None:
    supervisor = Supervisor({"child": python(STAYS)})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.keep_running)
        await until_running(supervisor, 1)
        [pid] = supervisor.pids.values()
        tasks.cancel_scope.cancel()

    async def gone() -> bool:
        return not is_alive(pid)

    await wait_until(gone, "the process is gone")


async def test_a_ctrl_c_at_the_terminal_reaches_only_the_supervisor() -> None:
    async with supervising({"child": python(STAYS)}) as supervisor:
        [pid] = supervisor.pids.values()
        assert os.getpgid(pid) != os.getpgid(0)


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@asynccontextmanager
async def supervised_group(log: EventLog, url: str) -> AsyncIterator[tuple[int, list[int]]]:
    """Run two supervised processes of a group; yield the supervisor's id and theirs."""
    environment = {**os.environ, "REDIS_URL": url, "ROUTESTREAM_NAMESPACE": log.keys.namespace}
    environment["ROUTESTREAM_METRICS_VITALS_HUNG_S"] = "5"
    command = routestream_command("consume", "route-table", "--processes", "2")
    async with await anyio.open_process(
        command, stdin=None, stdout=None, stderr=None, env=environment
    ) as supervisor:
        try:

            async def both_consume() -> bool:
                with suppress(NoGroupError):
                    return len(await members(log, "route-table")) == 2
                return False

            await wait_until(both_consume, "both processes consume")
            yield supervisor.pid, children_of(supervisor.pid)
        finally:
            if supervisor.returncode is None:
                supervisor.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_however_the_supervisor_ends_its_processes_finish_and_leave_their_group(
    log: EventLog, redis_url: str, how: signal.Signals
) -> None:
    await fill(log, 1)
    async with supervised_group(log, redis_url) as (supervisor, pids):
        assert len(pids) == 2
        await until_settled(log, "route-table")
        os.kill(supervisor, how)

        async def all_gone() -> bool:
            return not any(map(is_alive, pids))

        await wait_until(all_gone, "its processes have ended")

    assert await members(log, "route-table") == []


async def test_each_process_is_shown_with_its_own_id_and_one_that_hangs_is_replaced(
    log: EventLog, redis_url: str, run: Commands
) -> None:
    await fill(log, 1)
    async with supervised_group(log, redis_url) as (supervisor, pids):

        async def shown() -> dict[str, Any]:
            [told] = json.loads((await run(show_group, "route-table", "-o", "json")).stdout)
            return dict(told)

        async def are_shown(expected: set[int]) -> bool:
            told = await shown()
            return (told["processes"], {one["pid"] for one in told["members"]}) == (2, expected)

        await wait_until(lambda: are_shown(set(pids)), "both processes are shown")
        told = await shown()
        assert told["processes_wanted"] == 2
        assert all(one["metrics"].startswith("http://127.0.0.1:") for one in told["members"])
        os.kill(pids[0], signal.SIGSTOP)

        async def is_replaced() -> bool:
            now = children_of(supervisor)
            return pids[0] not in now and len(now) == 2 and await are_shown(set(now))

        await wait_until(is_replaced, "another process took its place", timeout_s=60.0)


async def test_a_process_that_hangs_is_told_killed_and_started_again() -> None:
    commands = {"hangs": python(HANGS), "sound": python(SIGNS)}
    supervisor = Supervisor(commands, hung_s=1.0)
    with captured_lines() as logs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervisor.keep_running)
            await until_running(supervisor, 2)
            first = supervisor.pids

            async def is_another() -> bool:
                return supervisor.pids.get("hangs") not in {None, first["hangs"]}

            await wait_until(is_another, "another process took its place")
            assert supervisor.pids["sound"] == first["sound"]
            await supervisor.stop()
    hung = [one for one in logs if one["event"] == "process_hung"]
    assert [(one["name"], one["pid"]) for one in hung[:1]] == [("hangs", first["hangs"])]
    assert supervisor.restarts["sound"] == 0
