"""A canary, half, all and back, counted at the client of a real Traefik."""

from functools import partial
from uuid import UUID

import pytest

from events import EventLog
from events.catalogue.endpoint import EndpointCreatedEvent
from producers.endpoints.endpoint_service import EndpointService
from producers.rollout.rollout_decisions import go_back, roll_out
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.publishers.support.traefik_dialects import Dialect
from tests.consumers.publishers.support.traefik_world import (
    Requests,
    model_servers,
    publishing,
    until_counted,
)
from tests.support.projectors import member
from tests.support.running_consumer import consuming

E = UUID(int=1)
PATH = f"/endpoints/{E}/v1/chat"
COUNTED = 200


@pytest.mark.timeout(240)
async def test_shares_of_revisions_are_what_traefik_sends_and_no_request_fails(
    log: EventLog, dialect: Dialect, requests: Requests
) -> None:
    service = EndpointService(log)
    async with (
        model_servers("old-1", "old-2", "new") as servers,
        consuming(member(log, ROUTE_TABLE)),
    ):
        await service.create(EndpointCreatedEvent(endpoint_id=E, name="chat", model="m"))
        revisions = ({"revision": "v1"}, {"revision": "v1"}, {"revision": "v2"})
        routes = [one.record(labels=labels) for one, labels in zip(servers, revisions, strict=True)]
        await service.set_route_list(E, routes)
        async with publishing(log, dialect.publisher, dialect.settings) as published:
            await requests.until(PATH, "old-1", "old-2", "new")
            for decide, share in (
                (partial(roll_out, to="v2", percents=[5]), 0.05),
                (partial(roll_out, to="v2", percents=[50]), 0.5),
                (partial(roll_out, to="v2", percents=[100]), 1.0),
                (go_back, 0.0),
            ):
                async with requests.load(PATH) as answers:
                    await until_counted(answers, 20)
                    recorded = await service.record(E, decide)
                    await published.until_table(recorded.entry_ids[-1])
                    await published.until_acknowledged(dialect.proxy)
                    await requests.until_newest(PATH, published)
                    await until_counted(answers, 20)
                assert answers.keys() <= {"old-1", "old-2", "new"}
                counted = await requests.send(PATH, COUNTED)
                assert counted.keys() <= {"old-1", "old-2", "new"}
                assert abs(counted["new"] - share * COUNTED) <= 3, counted
                assert abs(counted["old-1"] - counted["old-2"]) <= 3, counted
