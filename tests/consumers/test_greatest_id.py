"""Somebody gave an entry the greatest id there is: reading goes on, and nothing can be appended."""

import pytest

from consumers.cli.groups.change import reset_group
from consumers.groups.state import read_group_states
from consumers.runtime.projector import Projector
from events.entry.entry_id import AFTER_END, END, START
from events.errors import ServerRefusedError
from events.history.history import History
from events.log.log import EventLog
from projections.read_model.knowledge import read_knowledge
from projections.read_model.store import ReadModelStore
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.examination import examined_log, found
from tests.consumers.support.handler_group import handler_consumer_of, handling_with
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    consumer_of,
    consuming,
    created,
    until_settled,
)


async def fill_up(log: EventLog) -> None:
    """Append an event, and copy its fields to an entry of the greatest id."""
    await log.append(created())
    [[entry]] = [chunk async for chunk in log.read_entries(0)]
    strings = [part for field in entry.fields.items() for part in field]
    await log.server.client.call("XADD", log.keys.events(0), str(END), *strings)


async def test_groups_readers_and_tools_pass_the_greatest_id(log: EventLog) -> None:
    handling, projector = Handling(), Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    async with handling_with(handler_consumer_of(log, handling, start=START)):
        await fill_up(log)
        await handling.until_handled(END)
        await until_settled(log)
    async with handling_with(handler_consumer_of(log, handling)):
        await until_settled(log)
    async with consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)

    for source in (log, History(log)):
        assert [e.entry_id async for c in source.read_entries(0) for e in c][-1] == END
        assert [c async for c in source.read_entries(0, END.before())][-1][-1].entry_id == END
    knowledge = await read_knowledge(log.server.client.call, log.keys, ROUTE_TABLE.name, 0)
    assert (knowledge.head, knowledge.unfolded) == (END, None)
    assert [state.lag async for state in read_group_states(log)] == [0, 0]
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    rebuilt = await Rebuild(log, store, Folding(ROUTE_TABLE, 0)).run()
    assert rebuilt.position == END
    await log.server.client.call("XGROUP", "DESTROY", log.keys.events(0), GROUP)
    async with handling_with(handler_consumer_of(log, handling)):
        await until_settled(log)
    assert await log.server.client.call("XRANGE", log.keys.events(0), AFTER_END, "+") == []


async def test_a_full_log_is_an_error_and_a_reset_to_its_end_delivers_nothing(
    log: EventLog, run: Commands
) -> None:
    await fill_up(log)
    await log.server.client.call("XGROUP", "CREATE", log.keys.events(0), GROUP, "$")
    with pytest.raises(ServerRefusedError, match="nothing can be appended any more"):
        await log.append(created())
    finding = found(await examined_log(log), "newest entry, partition 0")
    assert finding.severity == "error"
    result = await run(reset_group, GROUP, "--to", "end", "--force", "--yes")
    assert end_of(result) == 0
    assert "0 passed over" in result.stderr
    assert result.stderr.rstrip().endswith("--to end")
