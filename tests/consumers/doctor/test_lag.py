"""How long a lag is told to be that Redis itself has lost count of."""

import pytest

from consumers.cli.doctor.check import check
from consumers.doctor import log_facts
from events import EventLog
from events.streams import lag
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined_log, found
from tests.support.running_consumer import GROUP, create_group, created

LATE = "late"
ABOUT = f"group {LATE}, partition 0"


async def fall_behind(log: EventLog, before: int, after: int) -> None:
    """Let a group stand in the middle of the log, and have Redis lose count of where."""
    call, stream = log.server.client.execute_command, log.keys.events(0)
    [gone, *_] = (await log.append(*(created() for _ in range(before + 1)))).entry_ids
    await call("XGROUP", "CREATE", stream, LATE, "$")
    await log.append(*(created() for _ in range(after)))
    await call("XDEL", stream, str(gone))
    [about] = await call("XINFO GROUPS", stream)
    assert about["lag"] is None


async def test_a_lag_that_redis_cannot_tell_is_counted_as_groups_ls_does(
    log: EventLog, run: Commands
) -> None:
    await fall_behind(log, 5, 1_600)
    assert found(await examined_log(log), ABOUT).figure == "backlog 1600"
    reached = await run(check, "--group", LATE, "--crit-lag", "1600")
    assert reached.stdout.startswith("CRITICAL - lag is 1600 ")
    assert "|lag=1600;1000;1600;0 " in reached.stdout
    assert "lag is" not in (await run(check, "--group", LATE, "--crit-lag", "1601")).stdout


async def test_a_lag_too_long_to_count_is_a_bound_and_beyond_what_it_could_be_beyond(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fall_behind(log, 8, 6)
    monkeypatch.setattr(log_facts, "COUNTED_MAX", 4)
    monkeypatch.setattr(lag, "READ_COUNT", 2)
    assert found(await examined_log(log), ABOUT).figure == "backlog >=4"
    possible = await run(check, "--group", LATE, "--crit-lag", "14")
    assert possible.stdout.startswith("CRITICAL - lag is >=4 ")
    assert "|lag=4;1000;14;0 " in possible.stdout
    impossible = await run(check, "--group", LATE, "--crit-lag", "15")
    assert "lag is" not in impossible.stdout


async def test_the_lags_of_two_groups_are_a_bound_where_one_is(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fall_behind(log, 8, 6)
    await create_group(log)
    monkeypatch.setattr(log_facts, "COUNTED_MAX", 4)
    monkeypatch.setattr(lag, "READ_COUNT", 2)
    checked = await run(check, "--group", LATE, "--group", GROUP, "--crit-lag", "28")
    assert "lag is >=18 " in checked.stdout
