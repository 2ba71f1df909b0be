"""Ports are on loopback unless somebody says otherwise, and take no more than they need."""

import os
from functools import reduce

import anyio
import pytest
from anyio.abc import SocketStream

from consumers.monitoring.settings import MetricsSettings
from consumers.settings import Settings, settings_in_force
from events import EventLog
from tests.consumers.support.exposition import asking, exposed_of
from tests.support.listening import listening_hosts

OF_OTHERS = {"publish.envoy.listener_host"}
"""Where Envoy listens, not we."""


def test_every_host_that_a_setting_names_is_loopback_by_default() -> None:
    hosts = {
        row.setting: row.value
        for row in settings_in_force(Settings(), {})
        if row.setting.endswith("host") and row.setting not in OF_OTHERS
    }
    assert hosts.keys() >= {"metrics.host", "publish.envoy.host", "publish.traefik_http.host"}
    assert set(hosts.values()) == {"127.0.0.1"}
    assert all(reduce(getattr, name.split("."), Settings()) for name in hosts)


async def test_metrics_are_served_elsewhere_only_where_a_setting_says_so(log: EventLog) -> None:
    before = listening_hosts(os.getpid())
    async with asking(exposed_of(log, [])) as asked:
        assert asked.url.startswith("http://127.0.0.1:")
        assert listening_hosts(os.getpid()) - before <= {"127.0.0.1"}
    everywhere = MetricsSettings(host="0.0.0.0", port=0)  # noqa: S104 - it is the test
    async with asking(exposed_of(log, []), everywhere):
        assert "0.0.0.0" in listening_hosts(os.getpid())  # noqa: S104


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n", b"200"),
        (b"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n", b"405"),
        (b"GET /metrics HTTP/1.1\r\nHost: " + b"x" * 100_000 + b"\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b"400"),
    ],
)
async def test_what_is_too_long_for_a_request_is_not_read(
    log: EventLog, sent: bytes, status: bytes
) -> None:
    async with asking(exposed_of(log, [])) as asked:
        port = int(asked.url.rpartition(":")[2])
        stream: SocketStream = await anyio.connect_tcp("127.0.0.1", port)
        async with stream:
            await stream.send(sent)
            with anyio.fail_after(30):
                assert (await stream.receive()).split(b" ")[1] == status
