"""A projector that stands by while a loss is accepted, and is given the partition afterwards."""

import pytest

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.interruption import HistoryAwaitedError
from consumers.runtime.projector import Projector
from events import open_log
from events.log.accepted_loss import accept_loss
from events.log.layout import Layout
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.histories import created
from tests.support.running_consumer import QUICK


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_a_projector_that_stood_by_waits_only_for_a_loss_that_nobody_accepted(
    own_server: EmbeddedServer, namespace: str, *, is_accepted: bool
) -> None:
    async with open_log(own_server.url, namespace=namespace) as log:
        await log.append(created())
        standing_by = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
        await standing_by.look()
        await log.server.client.call("FLUSHALL")
        if is_accepted:
            await accept_loss(log.server.client, log.keys, Layout(log.partitions))
            await standing_by.prepare()
        else:
            with pytest.raises(HistoryAwaitedError, match="is gone"):
                await standing_by.prepare()
