"""What others wrote, on its way to a terminal or a program: nothing steers, nothing is lost."""

import csv
import json
from io import StringIO
from uuid import UUID

import pytest

from events import EndpointCreatedEvent, EventLog
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.terminal import environment_of, in_shell, in_terminal

EVIL = "e\x1b[35mv\x1b]0;pwn\x07\x7f\x9b2J\u2066\u202e\n[bold]il"
ESCAPED = "e\\x1b[35mv\\x1b]0;pwn\\x07\\x7f\\x9b2J\\u2066\\u202e\\n[bold]il"
CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
COLUMNS = 300
READING = (["events", "tail"], ["endpoints", "ls"], ["groups", "ls"], ["streams", "show", "0"])


@pytest.fixture
def environment(redis_url: str, namespace: str) -> dict[str, str]:
    return {**environment_of(redis_url, namespace), "NO_COLOR": "1"}


async def fill(log: EventLog) -> None:
    """Have an endpoint, a source and a group of that name."""
    await log.append(EndpointCreatedEvent(endpoint_id=CHAT, name=EVIL, model=EVIL))
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))
    call, stream = log.server.client.call, log.keys.events(0)
    await call("XADD", stream, "*", "name", EVIL, "source", EVIL, EVIL, EVIL, "payload", "{")
    await call("XGROUP", "CREATE", stream, EVIL, "0")


def steering(drawn: str) -> list[str]:
    return [line for line in drawn.split("\r\n") if not line.isprintable()]


async def test_a_plan_and_an_error_show_a_name_escaped_on_one_line(
    log: EventLog, environment: dict[str, str]
) -> None:
    await fill(log)
    for words in (["endpoints", "destroy", str(CHAT), "--yes"], ["groups", "show", "nope"]):
        drawn = await in_terminal(words, environment, COLUMNS)
        assert steering(drawn) == [], words
        assert ESCAPED in drawn, words


async def test_an_error_that_lists_what_there_is_to_choose_from_is_one_sentence(
    environment: dict[str, str],
) -> None:
    done = await in_shell("routestream completion", environment)
    assert done.stderr == (
        "Error: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish\n"
    )


@pytest.mark.parametrize("form", ["table", "wide", "csv", "json", "jsonl"])
async def test_no_form_steers_a_terminal(
    log: EventLog, environment: dict[str, str], form: str
) -> None:
    await fill(log)
    for words in READING:
        drawn = await in_terminal([*words, "-o", form], environment, COLUMNS)
        assert steering(drawn) == [], words
        assert "9b2J" in drawn, words


async def test_csv_through_a_pipe_has_every_character_that_json_has(
    log: EventLog, environment: dict[str, str]
) -> None:
    await fill(log)
    listed = await in_shell("routestream events tail -o json", environment)
    rows = await in_shell("routestream events tail -o csv", environment)
    value, row = json.loads(listed.stdout)[1], list(csv.DictReader(StringIO(rows.stdout)))[1]
    assert value["fields"]["source"] == EVIL
    assert json.loads(row["fields"]) == value["fields"]
    endpoint = await in_shell("routestream endpoints ls -o csv", environment)
    [shown] = csv.DictReader(StringIO(endpoint.stdout))
    assert (shown["name"], shown["model"]) == (EVIL, EVIL)


async def test_csv_on_a_terminal_has_one_header(log: EventLog, environment: dict[str, str]) -> None:
    await fill(log)
    drawn = await in_terminal(["events", "tail", "-o", "csv"], environment, COLUMNS)
    headed = [line.startswith("entry_id,") for line in drawn.splitlines()]
    assert headed == [True, False, False]


async def test_csv_that_is_watched_on_a_terminal_has_its_header_each_time(
    log: EventLog, environment: dict[str, str]
) -> None:
    await fill(log)
    words = ["streams", "ls", "-o", "csv", "--watch=100ms"]
    drawn = await in_terminal(words, environment, COLUMNS, until="\x1b[J\x1b[?7h\x1b[?7l\x1b[Hstr")
    assert drawn.count("stream,") == 2
