"""As a library, routestream reports through the `logging` of its program and prints nothing."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from events import EndpointDestroyedEvent, EventLog
from events.structured_logger import structured_logger
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

APPENDING = """
import logging, sys
from uuid import uuid4

import anyio

import events

async def append(url, namespace):
    async with events.open_log(url, namespace=namespace, source="a stranger") as log:
        await log.append(events.EndpointDestroyedEvent(endpoint_id=uuid4()))

def main(url, namespace, log_file):
    if log_file:
        form = "%(levelname)s %(name)s %(event)s %(message)s"
        logging.basicConfig(filename=log_file, format=form, level=logging.INFO)
    anyio.run(append, url, namespace)

main(*sys.argv[1:])
"""


@pytest.fixture
async def proxy(shared_server: EmbeddedServer, log: EventLog) -> AsyncIterator[TcpProxy]:
    """A proxy that loses the reply to one append, whose script the server knows."""
    await log.append(EndpointDestroyedEvent(endpoint_id=uuid4()))
    async with tcp_proxy(shared_server.port) as running:
        running.lose_next_reply_to(b"EVALSHA")
        yield running


async def appended(proxy: TcpProxy, log: EventLog, log_file: str, redirected: str) -> bytes:
    """Append from another program that warns once; return what it printed, on either stream."""
    shell = ["sh", "-c", f'exec "$@" {redirected}', "sh"]
    program = [sys.executable, "-c", APPENDING, proxy.url, log.keys.namespace, log_file]
    done = await anyio.run_process([*shell, *program], stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()
    assert proxy.lost == 1
    assert len([one async for one in log.read()]) == 2
    return done.stdout


async def test_an_append_with_its_output_closed_succeeds_and_warns_through_logging(
    log: EventLog, proxy: TcpProxy, tmp_path: Path
) -> None:
    path = tmp_path / "program.log"
    await appended(proxy, log, str(path), ">&- 2>&-")
    [line] = path.read_text().splitlines()
    assert line.startswith("WARNING events.log.append append_unanswered append_unanswered event_id")
    assert " tries=1 error=" in line


async def test_a_program_that_configures_no_logging_sees_nothing_printed(
    log: EventLog, proxy: TcpProxy
) -> None:
    assert await appended(proxy, log, "", "") == b""


def test_a_record_holds_its_fields_and_a_message_that_any_formatter_prints(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    logger = structured_logger("events.somewhere").bind(partition=3)
    logger.info("archive_raced", end="1-1", name="a field may have any name", counts={"a": 1})
    [record] = caplog.records
    assert (record.name, record.levelname, record.filename) == (
        "events.somewhere",
        "INFO",
        Path(__file__).name,
    )
    assert record.__dict__["event"] == "archive_raced"
    assert record.__dict__["fields"] == {
        "partition": 3,
        "end": "1-1",
        "name": "a field may have any name",
        "counts": {"a": 1},
    }
    assert record.getMessage() == (
        "archive_raced partition=3 end='1-1' name='a field may have any name' counts={'a': 1}"
    )


def test_a_single_field_that_is_a_mapping_is_printed(caplog: pytest.LogCaptureFixture) -> None:
    structured_logger("events.somewhere").warning("counted", counts={"a": 1})
    assert caplog.messages == ["counted counts={'a': 1}"]


def test_a_level_that_the_program_left_out_makes_no_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    structured_logger("events.somewhere").warning("counted")
    assert caplog.records == []
