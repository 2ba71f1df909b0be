"""What `routestream groups show`, `pending` and `losses` show."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from uuid import UUID

import anyio
import pytest
from anyio.to_thread import run_sync

from consumers.cli.groups.pending import show_pending
from consumers.cli.groups.show import show_group, show_losses
from consumers.groups.operations import operation
from consumers.groups.requeue import Requeue
from consumers.processes.supervisor import routestream_command
from consumers.runtime.last_errors import LastErrors
from consumers.runtime.losses import Losses
from events import EndpointRouteListUpdatedEvent, EntryId, EventLog
from tests.consumers.support.commands import Commands
from tests.consumers.support.given_up import give_up
from tests.events.support.old_entries import acknowledge, add_old, create, old_id, read
from tests.support.running_consumer import dead_letters, make_idle

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
GROUP = "readers"
OURS = "node-7.example-4242-0a1b2c"

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


async def fill(log: EventLog) -> None:
    """Let 2 old entries be pending with one of ours, and 1 new one with somebody else's."""
    await add_old(log, 4)
    await log.append(EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=()))
    await create(log, GROUP)
    given = await read(log, GROUP, 4, OURS)
    await acknowledge(log, GROUP, *given[:2])
    await read(log, GROUP, 1, "c-1")
    await make_idle(log, OURS, [old_id(2)], GROUP)


async def test_show_tells_who_its_members_are_and_what_is_pending_with_them(
    log: EventLog, run: Commands
) -> None:
    await fill(log)

    result = await run(show_group, GROUP)

    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert f"group {GROUP}, partition 0 state up to date" not in words
    assert "pending 3" in words
    assert "pending by age under 10s: 1, over 1d: 2" in words
    assert "pending by deliveries 1: 3" in words
    assert f"{OURS} node-7.example 4242 2 " in words
    assert "c-1 1 " in words


async def test_show_as_json(log: EventLog, run: Commands) -> None:
    await fill(log)
    await Losses(log.server, log.keys, 0, GROUP).note("trimmed", [old_id(0), old_id(1)])

    [told] = json.loads((await run(show_group, GROUP, "-o", "json")).stdout)

    assert (told["pending"], told["lag"], told["lost"], told["dead"]) == (3, 0, 2, 0)
    assert told["pending_by_age"]["over 1d"] == 2
    assert told["pending_by_deliveries"]["1"] == 3
    ours = next(one for one in told["members"] if one["name"] == OURS)
    assert (ours["host"], ours["pid"], ours["pending"]) == ("node-7.example", 4242, 2)
    assert ours["state"] == "active"
    assert next(one for one in told["members"] if one["name"] == "c-1")["host"] is None
    [loss] = told["losses"]
    assert (loss["why"], loss["entries"], loss["first"]) == ("trimmed", 2, str(old_id(0)))


async def test_pending_tells_what_it_is_and_with_whom(log: EventLog, run: Commands) -> None:
    await fill(log)

    header, *rows = await run.lines(show_pending, GROUP)

    assert header.split("  ") == [
        *("ENTRY", "PARTITION", "AGE", "TYPE", "ENDPOINT"),
        *("CONSUMER", "IDLE", "DELIVERIES", "LAST ERROR"),
    ]
    assert rows[-1] == ("ID  0  AGE  endpoint_route_list_updated  7ccd26ec  c-1  AGE  1  —")
    assert [row.split("  ")[3] for row in rows[:2]] == ["stray", "stray"]
    result = await run(show_pending, GROUP, "-o", "json", "-n", "1")
    [oldest] = json.loads(result.stdout)
    assert oldest["entry_id"] == str(old_id(2))
    assert (oldest["consumer"], oldest["deliveries"], oldest["last_error"]) == (OURS, 1, None)
    assert oldest["time"] == "2023-11-14T22:13:22+00:00"
    newest = json.loads((await run(show_pending, GROUP, "-o", "json")).stdout)[-1]
    assert newest["endpoint"].startswith("7ccd26ec-")


async def test_pending_is_filtered_by_consumer_and_by_idleness(
    log: EventLog, run: Commands
) -> None:
    await fill(log)

    async def ids(*arguments: str) -> list[str]:
        result = await run(show_pending, GROUP, "-o", "json", *arguments)
        return [one["entry_id"] for one in json.loads(result.stdout)]

    assert await ids("--consumer", OURS) == [str(old_id(2)), str(old_id(3))]
    assert await ids("--idle", "30m") == [str(old_id(2))]
    assert await ids("--idle", "2h") == []
    none = await run(show_pending, GROUP, "--idle", "2h")
    assert (none.exit_code, none.stderr) == (0, "none of the 3 pending entries is meant\n")
    nobody = await run(show_pending, GROUP, "--consumer", "nobody")
    assert nobody.exit_code == 3
    assert "has no consumer 'nobody'; there are c-1, " in nobody.stderr
    await log.server.client.call("XGROUP", "CREATE", log.keys.events(0), "idle", "$")
    empty = await run(show_pending, "idle")
    assert (empty.exit_code, empty.stderr) == (0, "nothing is pending\n")


async def test_pending_tells_what_an_entry_failed_with_and_which_are_gone(
    log: EventLog, run: Commands
) -> None:
    await fill(log)
    await give_up(log, old_id(2), group=GROUP)
    what = operation(GROUP, "dead requeue", "")
    await Requeue(log, 0, GROUP).requeue(await dead_letters(log, GROUP), what)
    await log.server.client.call("XDEL", log.keys.events(0), str(old_id(3)))

    first, second, _ = json.loads((await run(show_pending, GROUP, "-o", "json")).stdout)

    assert (first["last_error"], first["consumer"]) == ("failed 3 times: no luck", "requeue")
    assert second["type"] is None
    requeued = EntryId.parse(first["entry_id"])
    await LastErrors(log.server, log.keys, 0, GROUP).keep([(requeued, "OSError: still no luck")])
    first, *_ = json.loads((await run(show_pending, GROUP, "-o", "json")).stdout)
    assert first["last_error"] == "OSError: still no luck"
    assert "gone from the log" in (await run(show_pending, GROUP)).stdout


async def test_losses_are_listed(log: EventLog, run: Commands) -> None:
    await fill(log)
    none = await run(show_losses, GROUP)
    assert (none.exit_code, none.stderr) == (0, "nothing was lost\n")
    await Losses(log.server, log.keys, 0, GROUP).note("deleted", [old_id(0)])

    header, row = await run.lines(show_losses, GROUP)

    assert header == "AT  PARTITION  ENTRIES  WHY  FROM  TO  SEEN"
    assert row.endswith("  0  1  deleted  ID  ID  no")
    [told] = json.loads((await run(show_losses, GROUP, "-o", "json")).stdout)
    assert (told["partition"], told["why"], told["last"]) == (0, "deleted", str(old_id(0)))


async def test_a_group_that_is_not_there_is_not_found(log: EventLog, run: Commands) -> None:
    for command in (show_group, show_pending, show_losses):
        assert (await run(command, "nobody")).exit_code == 3
    await fill(log)
    result = await run(show_group, "nobody")
    assert (result.exit_code, "there are readers" in result.output) == (3, True)


@pytest.mark.parametrize("arguments", [("--count", "0"), ("--idle", "soon"), ("--idle", "-5m")])
async def test_wrong_arguments_are_refused(
    log: EventLog, run: Commands, arguments: tuple[str, ...]
) -> None:
    await fill(log)
    result = await run(show_pending, GROUP, *arguments)
    assert result.exit_code != 0
    assert result.stdout == ""


def drawn(url: str, namespace: str, columns: int, *arguments: str) -> list[str]:
    """Run the command in a terminal that has so many columns, and return its lines."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    environment = {**kept, "REDIS_URL": url, "ROUTESTREAM_NAMESPACE": namespace, "NO_COLOR": "1"}
    command = routestream_command(*arguments)
    process = subprocess.Popen(command, env=environment, stdin=far, stdout=far, stderr=far)
    os.close(far)
    shown = bytearray()
    try:
        while some := os.read(near, 65_536):
            shown += some
    except OSError:
        pass  # the program has ended, and the terminal with it
    finally:
        process.wait(30)
        os.close(near)
    return _STYLE.sub("", shown.decode()).replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize(
    "arguments",
    [
        ("groups", "ls"),
        ("groups", "show", GROUP),
        ("groups", "pending", GROUP),
        ("dead", "ls"),
        ("streams", "trim", "--dry-run"),
    ],
    ids=" ".join,
)
async def test_what_is_shown_fits_the_terminal(
    log: EventLog, redis_url: str, columns: int, arguments: tuple[str, ...]
) -> None:
    await fill(log)
    await give_up(log, old_id(2), group=GROUP)

    with anyio.fail_after(60):
        lines = await run_sync(drawn, redis_url, log.keys.namespace, columns, *arguments)

    assert len(lines) > 1
    table = [line for line in lines if " holds everything back: " not in line]
    assert max(map(len, table)) <= columns, "\n".join(lines)
    assert any(GROUP in line or "stray" in line for line in lines), "\n".join(lines)
