"""What a server refuses to tell is an error of the doctor, and never a zero of the check."""

import re
from collections.abc import AsyncIterator

import pytest

from consumers.cli.doctor.check import check
from consumers.cli.doctor.doctor import doctor
from events import EventLog
from events.errors import ServerRefusedError
from events.log.keys import Keys
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined, not_well, projecting
from tests.support.running_consumer import fill
from tests.support.servers import SLOTS, asking, cluster_node, until_answering


@pytest.fixture
async def run_on_a_node(namespace: str) -> AsyncIterator[Commands]:
    """Commands for a node of a cluster that does not serve the log's slot."""
    with cluster_node() as node:
        async with asking(node) as client:
            await client.call("CONFIG SET", "cluster-require-full-coverage", "no")
            slot = await client.call("CLUSTER KEYSLOT", Keys(namespace).events(0))
            assert isinstance(slot, int)
            for first, last in ((0, slot - 1), (slot + 1, SLOTS - 1)):
                await client.call("CLUSTER", "ADDSLOTSRANGE", first, last)
            await until_answering(client, "GET", Keys(namespace).layout)
        yield Commands(node.url, namespace)


async def test_what_a_server_refuses_to_tell_is_critical_and_no_figure(
    run_on_a_node: Commands,
) -> None:
    result = await run_on_a_node(check)
    assert result.exit_code == 2
    line = r"CRITICAL - refused \w+: .*Redis Cluster does not serve all of its slots.*\n"
    assert re.fullmatch(line, result.stdout)
    assert "|" not in result.stdout
    assert "there is no log" not in result.stdout
    result = await run_on_a_node(doctor)
    assert result.exit_code == 1
    assert "Redis Cluster does not serve" in result.stdout


async def test_a_server_that_lets_nobody_in_is_critical_and_tells_no_figure(
    redis_url: str, namespace: str
) -> None:
    for url in (f"{redis_url}/99", redis_url.replace("redis://", "redis://nobody:secret@")):
        result = await Commands(url, namespace)(check)
        assert result.exit_code == 2
        assert re.fullmatch(r"CRITICAL - Redis at \S+ refuses: [^|\n]+\n", result.stdout)
        result = await Commands(url, namespace)(doctor)
        assert isinstance(result.exception, ServerRefusedError)


async def test_documents_that_may_not_be_counted_are_no_documents_that_are_missing(
    log: EventLog, namespace: str
) -> None:
    await fill(log, 1)
    call = log.server.client.call
    await call("ACL SETUSER", "blind", "reset", "on", ">secret", "~*", "+@all", "-hlen")
    url = log.server.settings.url.replace("redis://", "redis://blind:secret@")
    async with projecting(log):
        findings = await examined(url, namespace)
    assert "refused HLEN" in not_well(findings)
    assert [one for one in findings if one.about.startswith("read model ")] == []


async def test_a_right_that_is_missing_leaves_out_the_figures_that_need_it(
    log: EventLog, namespace: str
) -> None:
    await fill(log, 1)
    call = log.server.client.call
    await call("ACL SETUSER", "blind", "reset", "on", ">secret", "~*", "+@all", "-xlen")
    url = log.server.settings.url.replace("redis://", "redis://blind:secret@")
    async with projecting(log):
        result = await Commands(url, namespace)(check, "--crit-dead", "9")
    assert result.exit_code == 2
    assert "lag=0;" in result.stdout
    assert "dead=" not in result.stdout
