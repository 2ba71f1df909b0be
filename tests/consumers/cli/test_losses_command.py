"""What a group lost is listed, and warned of until somebody has seen it."""

import json

import pytest

from consumers.cli.groups.show import show_losses
from consumers.doctor.finding import Finding
from consumers.runtime.group import Group
from consumers.runtime.group_history import GroupHistory
from events.entry.entry_id import START
from events.log.log import EventLog
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined_log
from tests.support.running_consumer import GROUP, append

ABOUT = f"loss of {GROUP}, partition 0"


async def lose(log: EventLog, count: int) -> None:
    """Trim *count* entries that the group has not read, and let it notice."""
    entries = await append(log, count + 1)
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", "=", str(entries[-1]))
    await GroupHistory(log.server, log.keys, 0, (GROUP, "first")).look()


async def found(log: EventLog) -> list[Finding]:
    return [finding for finding in await examined_log(log) if finding.about == ABOUT]


@pytest.fixture
async def group(log: EventLog) -> Group:
    made = Group(log.server, log.keys, 0, GROUP)
    await made.ensure(START)
    return made


async def test_a_loss_that_was_seen_hides_no_newer_one(
    log: EventLog, run: Commands, group: Group
) -> None:
    assert group.name == GROUP
    await lose(log, 3)
    [finding] = await found(log)
    assert (finding.severity, finding.figure.split(",")[0]) == ("error", "3")

    seen = await run(show_losses, GROUP, "--ack", "--reason", "rebuilt", "--yes")
    assert seen.exit_code == 0, seen.stderr
    assert "3 lost, unseen -> seen" in seen.stderr
    assert await found(log) == []
    again = await run(show_losses, GROUP, "--ack", "--yes")
    assert "nothing changed" in again.stderr

    await lose(log, 2)
    [finding] = await found(log)
    # The entry that the first trim had left was trimmed, too.
    assert (finding.severity, finding.figure.split(",")[0]) == ("error", "3")
    listed = json.loads((await run(show_losses, GROUP, "-o", "json")).stdout)
    assert [(row["entries"], row["seen"], row["at_least"]) for row in listed] == [
        (3, True, False),
        (3, False, False),
    ]
