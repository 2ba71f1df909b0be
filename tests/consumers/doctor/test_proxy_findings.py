"""The doctor tells of proxies that may not have the route table."""

from time import time
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from consumers.doctor.finding import Finding
from consumers.doctor.life_findings import PROXY_BEHIND_S
from consumers.publishers.proxy_ledger import SILENT_S, ProxyState, Refusal
from events import EventLog
from tests.consumers.support.examination import examined_log

NEAR = ProxyState(publisher="envoy", proxy="near", sent="5-0", acknowledged="5-0")
ABOUT = "proxy near of envoy"


async def found_of(log: EventLog, state: ProxyState) -> list[Finding]:
    await log.server.client.call("HSET", log.keys.proxies, "near", msgspec.json.encode(state))
    return [one for one in await examined_log(log) if one.about in {ABOUT, "proxies"}]


async def test_nothing_is_said_where_no_proxy_was_ever_fed(log: EventLog) -> None:
    assert not [one for one in await examined_log(log) if "prox" in one.about]


@pytest.mark.parametrize(
    ("ago", "changes", "severity", "what"),
    [
        ({}, {}, "ok", "all have what they were given"),
        ({"noted_at": SILENT_S + 5}, {}, "error", "no sign of life"),
        ({}, {"problem": "it hangs up"}, "error", "it cannot be fed: it hangs up"),
        (
            {},
            {"refused": 2, "refusals": (Refusal("chat", "too heavy"),)},
            "warning",
            "it has not taken all: chat: too heavy, and 1 more",
        ),
        ({"sent_at": PROXY_BEHIND_S + 5}, {"sent": "6-0"}, "error", "revision 6-0"),
        ({"sent_at": 0.0}, {"sent": "6-0"}, "ok", "all have what they were given"),
    ],
)
async def test_what_is_wrong_with_a_proxy_is_said(
    log: EventLog, ago: dict[str, float], changes: dict[str, Any], severity: str, what: str
) -> None:
    now = time()
    times = {name: now - seconds for name, seconds in ({"noted_at": 0.0} | ago).items()}
    [finding] = await found_of(log, replace(NEAR, **times, **changes))
    assert finding.severity == severity
    assert what in finding.what
