"""The page about rollouts: its commands print what it shows."""

import re
import shlex
from functools import partial
from pathlib import Path

import pytest
from anyio.to_thread import run_sync
from click.testing import CliRunner

from consumers.cli.command_tree import routestream
from events import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.projectors import member
from tests.support.running_consumer import consuming, until_settled

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "rollout.md").read_text("utf-8")

_COMMAND = re.compile(r"^\$ routestream (.+)\n((?:(?!\$ |```).*\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"\b\d{13}-\d+\b")


async def test_every_command_prints_what_the_page_shows(
    log: EventLog, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    environment = {"REDIS_URL": redis_url, "ROUTESTREAM_NAMESPACE": log.keys.namespace}
    shown = _COMMAND.findall(PAGE)
    assert len(shown) > 8
    async with consuming(member(log, ROUTE_TABLE)):
        for command, output in shown:
            invoke = partial(CliRunner().invoke, routestream, shlex.split(command), env=environment)
            done = await run_sync(invoke)
            assert done.exit_code == 0, (command, done.output, done.exception)
            assert not output or _ENTRY.sub("ID", done.output) == _ENTRY.sub("ID", output), command
            await until_settled(log, ROUTE_TABLE.read_model)
