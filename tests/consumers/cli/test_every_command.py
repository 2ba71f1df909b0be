"""What holds for every reading command: at any width, without a log, a server or a permission."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
import redis

from consumers.cli.command_tree import routestream
from consumers.processes.embedded import embedded_server
from docs.pages.cli_pages import root_context, walk
from events.entry.position import parse_position
from events.errors import ServerRefusedError, ServerUnavailableError
from events.server.settings import ServerSettings
from tests.consumers.cli.test_server_load import ENDS, READING, arguments_of
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.long_log import NAMESPACE, make_long_log
from tests.consumers.support.terminal import all_in_terminal, environment_of, in_shell

TOLD = {path: one for path, one in READING.items() if path != "routestream doctor"}
"""Those that stop where they may not look; the doctor tells of it, and goes on."""

_PRINTED_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?: UTC|Z|[+-]\d\d:\d\d)?"
)

MISSING = {
    "count": "1",
    "entry_id": "1-1",
    "dead_id": "1-1",
    "event": "1-1",
    "span": "start..",
    "stream": "0",
}


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with embedded_server() as server:
        make_long_log(server.url, 2_000)
        with closing(redis.Redis.from_url(server.url)) as opened:
            client: Any = opened
            can_read = "~* &* +@read +@connection +@transaction +time +info"
            client.execute_command(f"ACL SETUSER reader on >secret {can_read}")
            client.execute_command("ACL SETUSER nobody on >secret ~other:* +@all")
            client.execute_command(
                "ACL SETUSER blind on >secret ~* +@all -xinfo -xrevrange -hget -hgetall"
            )
        yield server.url


def as_user(url: str, user: str) -> Commands:
    commands = Commands(url, NAMESPACE)
    there = ServerSettings(url=url.replace("redis://", f"redis://{user}:secret@"))
    commands.configure(server=there)
    return commands


def required_arguments(command: click.Command, url: str) -> list[str]:
    with closing(redis.Redis.from_url(url)) as client:
        return arguments_of(command, client)


@pytest.mark.parametrize("columns", [80, 200])
async def test_nothing_is_wider_than_the_terminal(server_url: str, columns: int) -> None:
    commands = [
        [*path.split()[1:], *required_arguments(command, server_url)]
        for path, command in READING.items()
    ]
    drawn = await all_in_terminal(commands, environment_of(server_url, NAMESPACE), columns)
    for path, (screen, end) in zip(READING, drawn, strict=True):
        lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in screen.splitlines()]
        assert [line for line in lines if len(line) > columns] == [], path
        assert end == str(ENDS.get(path, 0)), path


@pytest.mark.parametrize("path", READING)
async def test_an_account_that_can_only_read_is_enough(server_url: str, path: str) -> None:
    command = READING[path]
    arguments = required_arguments(command, server_url)
    result = await as_user(server_url, "reader")(command, *arguments)
    assert end_of(result) == ENDS.get(path, 0), (result.output, result.exception)
    assert not isinstance(result.exception, ServerRefusedError), result.exception


@pytest.mark.parametrize("path", TOLD)
async def test_a_missing_permission_is_told_in_one_sentence(server_url: str, path: str) -> None:
    command = READING[path]
    arguments = required_arguments(command, server_url)
    for user in ("nobody", "blind"):
        result = await as_user(server_url, user)(command, *arguments)
        assert isinstance(result.exception, ServerRefusedError), result.output
        assert "no permission" in str(result.exception)
        assert "\n" not in str(result.exception)


@pytest.mark.parametrize("path", READING)
async def test_without_a_server_it_is_no_connection(
    server_url: str, tmp_path: Path, path: str
) -> None:
    arguments = required_arguments(READING[path], server_url)
    nowhere = Commands(f"unix://{tmp_path}/none.sock", NAMESPACE)
    result = await nowhere(READING[path], *arguments)
    assert isinstance(result.exception, ServerUnavailableError)


@pytest.mark.parametrize("path", TOLD)
@pytest.mark.parametrize("form", ["table", "wide", "json", "jsonl", "csv"])
async def test_without_a_log_there_is_nothing_to_show(
    redis_url: str, namespace: str, path: str, form: str
) -> None:
    required = [parameter for parameter in READING[path].params if parameter.required]
    arguments = [MISSING.get(parameter.name or "", "none-such") for parameter in required]
    result = await Commands(redis_url, namespace)(READING[path], *arguments, "-o", form)
    assert end_of(result) in {0, 1, 3}, (result.output, result.exception)
    is_header = form == "csv" and result.stdout.count("\n") == 1
    assert is_header or result.stdout in {"", "[]\n"}


@pytest.mark.parametrize("path", READING)
@pytest.mark.parametrize("form", ["table", "wide", "json", "jsonl", "csv"])
async def test_every_form_is_whole_and_no_fault_of_the_code(
    server_url: str, path: str, form: str
) -> None:
    arguments = required_arguments(READING[path], server_url)
    result = await Commands(server_url, NAMESPACE)(READING[path], *arguments, "-o", form)
    assert end_of(result) == ENDS.get(path, 0), result.output
    if form == "json":
        json.loads(result.stdout or "null")
    elif form == "jsonl":
        assert all(isinstance(json.loads(line), dict) for line in result.stdout.splitlines())
    elif form == "csv":
        assert len({len(row) for row in csv.reader(StringIO(result.stdout))}) <= 1


def test_every_command_that_prints_in_forms_and_writes_nothing_can_be_watched() -> None:
    lacking = [
        context.command_path
        for command, context in walk(routestream, root_context())
        if {one.name for one in command.params} & {"output", "yes", "watch"} == {"output"}
    ]
    # Settings are read once, when a command starts; the others write files.
    assert lacking == [
        "routestream config show",
        "routestream events export",
        "routestream snapshot take",
    ]


@pytest.mark.parametrize("path", READING)
async def test_a_time_that_is_printed_is_read_as_a_position(server_url: str, path: str) -> None:
    arguments = required_arguments(READING[path], server_url)
    result = await Commands(server_url, NAMESPACE)(READING[path], *arguments)
    for printed in _PRINTED_TIME.findall(result.stdout):
        parse_position(printed, datetime.now(UTC))


async def test_a_watched_command_is_repeated_whatever_it_ends_with(server_url: str) -> None:
    watched = "routestream events grep 'found nowhere' --watch=100ms"
    script = f"timeout 60 bash -c \"{watched} 2>&1 | grep -m 2 'no events'\"; echo $?"
    done = await in_shell(script, environment_of(server_url, NAMESPACE))
    assert done.stdout.split()[-1] == "0", done.stderr
    assert done.stdout.count("no events") == 2, done.stderr


@pytest.mark.parametrize("path", READING)
async def test_a_form_that_is_none_is_refused(redis_url: str, namespace: str, path: str) -> None:
    result = await Commands(redis_url, namespace)(READING[path], "-o", "yaml")
    assert result.exit_code == 2


async def test_the_command_says_so_with_its_exit_codes(server_url: str, tmp_path: Path) -> None:
    environment = environment_of(server_url, NAMESPACE)
    lines = {
        f"routestream --url unix://{tmp_path}/none.sock streams show 0": "4",
        "routestream streams show nowhere": "3",
        "routestream events tail --stream nowhere": "3",
        "routestream events tail --where 'x =='": "2",
        "routestream events grep -E '('": "2",
        "routestream events grep 'found nowhere'": "1",
        "routestream events range end..start": "2",
    }
    script = "; ".join(f"{line} >/dev/null; echo $?" for line in lines)
    done = await in_shell(script, environment)
    assert done.stdout.split() == list(lines.values())
    assert len(done.stderr.splitlines()) == len(lines), done.stderr
