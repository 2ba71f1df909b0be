"""A server of which an operator has renamed every command that the log can do without."""

from consumers.processes.embedded import embedded_server
from consumers.runtime.projector import Projector
from events.log.log import open_log
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.examination import examined
from tests.consumers.support.handler_group import handler_consumer_of, handling_with
from tests.support.running_consumer import (
    QUICK,
    Handling,
    consumer_of,
    consuming,
    created,
    folded_in_order,
    states,
    until_settled,
)

OPTIONAL = ("ACL", "CLIENT", "COMMAND", "CONFIG", "INFO", "KEYS", "MEMORY", "SCRIPT")


async def test_groups_handle_and_fold_all_without_the_commands_that_are_optional(
    namespace: str,
) -> None:
    renamed = [part for name in OPTIONAL for part in ("--rename-command", name, "")]
    handling = Handling()
    with embedded_server(*renamed) as server:
        async with open_log(server.url, namespace=namespace, source="test") as log:
            projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
            async with (
                consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)),
                handling_with(handler_consumer_of(log, handling)),
            ):
                appended = (await log.append(created(), created())).entry_ids
                await handling.until_handled(*appended)
                await until_settled(log, ROUTE_TABLE.name)
            assert await states(log, ROUTE_TABLE) == await folded_in_order(log, ROUTE_TABLE)
            assert await log.server.weaknesses() == []
        findings = await examined(server.url, namespace)
    told = {one.about: one.severity for one in findings if one.about.startswith("refused ")}
    # Whether events are safe on its disk, INFO alone would tell.
    assert told == {
        "refused ACL WHOAMI": "ok",
        "refused CONFIG GET": "ok",
        "refused INFO": "warning",
    }
