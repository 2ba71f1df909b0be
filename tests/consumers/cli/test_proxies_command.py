from time import time

import msgspec
import pytest

from consumers.cli.publishers.proxies import list_proxies
from consumers.cli.publishers.publish import publish
from consumers.cli.terminal.messages import EXIT_USAGE
from consumers.publishers.proxy_ledger import ProxyState, Refusal
from events import EventLog
from tests.consumers.support.commands import Commands, end_of

NOW = ProxyState(
    publisher="kind", proxy="near", sent="5-0", sent_at=time(), noted_at=time() + 3_600
)


async def note(log: EventLog, *states: ProxyState) -> None:
    for state in states:
        field = f"{state.publisher} {state.proxy}"
        await log.server.client.call("HSET", log.keys.proxies, field, msgspec.json.encode(state))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"acknowledged": "5-0", "acknowledged_at": time()}, "up to date"),
        ({"acknowledged": "4-0", "acknowledged_at": time()}, "behind"),
        ({}, "behind"),
        ({"acknowledged": "5-0", "refused": 1}, "refused"),
        ({"acknowledged": "5-0", "problem": "it hangs up"}, "unreachable"),
        ({"acknowledged": "5-0", "noted_at": time() - 60}, "silent"),
    ],
)
async def test_a_proxy_is_shown_with_what_it_has(
    log: EventLog, run: Commands, changes: dict[str, object], state: str
) -> None:
    await note(log, msgspec.structs.replace(NOW, **changes))
    [row] = msgspec.json.decode((await run(list_proxies, "-o", "json")).stdout)
    assert row["state"] == state
    assert row["acknowledged"] == changes.get("acknowledged")
    assert state in (await run(list_proxies)).stdout


@pytest.mark.parametrize(
    ("revision", "age_s"), [("1000-0", 1), ("1000-0,3000-7", 3), ("0-0", None), ("odd", None)]
)
async def test_the_age_of_a_revision_is_that_of_its_newest_entry(
    log: EventLog, run: Commands, revision: str, age_s: int | None
) -> None:
    await note(log, msgspec.structs.replace(NOW, acknowledged=revision))
    [row] = msgspec.json.decode((await run(list_proxies, "-o", "json")).stdout)
    appended_s = None if age_s is None else time() - row["acknowledged_age_s"]
    assert appended_s == (None if age_s is None else pytest.approx(age_s, abs=30))
    if age_s is None:
        assert row["acknowledged_age_s"] is None


async def test_what_a_proxy_refused_and_why_stands_beside_it(log: EventLog, run: Commands) -> None:
    refusals = (Refusal("route chat-1", "a weight of 0.5 cannot be said"),)
    await note(log, msgspec.structs.replace(NOW, refusals=refusals, refused=3))
    shown = (await run(list_proxies)).stdout
    assert "route chat-1: a weight of 0.5 cannot be said, and 2 more" in shown


async def test_a_publisher_that_does_not_exist_is_refused_by_name(
    log: EventLog, run: Commands
) -> None:
    assert log.partitions == 1
    refused = await run(publish, "nginx")
    assert end_of(refused) == EXIT_USAGE
    assert "publisher 'nginx' is not one of" in str(refused.exception)
