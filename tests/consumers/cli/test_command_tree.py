"""How the commands come together: each where its place says, none in the way of another."""

import subprocess
import sys

import click
import pytest

from consumers.cli.command_tree import PLACES, SECTIONS, routestream
from consumers.cli.terminal.command_group import CommandGroup, commands_of

HEAVY = {"aiohttp", "obstore", "prometheus_client", "structlog", "textual", "yaml"}
"""What only some processes stand on, and a reading command never waits for."""

_RUN = """
import sys
import consumers.__main__
try:
    consumers.__main__.main()
except SystemExit as end:
    print(end.code, *sorted(set({heavy!r}) & set(sys.modules)))
"""


@pytest.mark.parametrize("path", PLACES)
def test_a_command_stands_where_its_place_says(path: str) -> None:
    command: click.Command = routestream
    for name in path.split():
        assert isinstance(command, CommandGroup)
        command = commands_of(command)[name]
    assert command.name == path.rsplit(maxsplit=1)[-1]
    assert command.get_short_help_str(1_000) == PLACES[path].sentence
    assert not command.hidden


def test_every_command_has_a_section_in_the_help() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(commands_of(routestream))


def test_the_help_lists_the_sections_in_their_order_and_cuts_no_sentence_off() -> None:
    told = routestream.get_help(click.Context(routestream, info_name="routestream"))
    places = [told.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    assert "..." not in told.partition("\nLook:\n")[2]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--version",), "0"),
        (("events", "tail"), "4"),
        (("groups", "ls"), "4"),
        (("endpoints", "show", "chat"), "4"),
        (("streams", "trim", "--yes"), "4"),
        (("events", "tail", "--nonsense"), "2"),
    ],
)
def test_a_command_does_not_wait_for_what_others_stand_on(
    words: tuple[str, ...], code: str
) -> None:
    nowhere = ("--url", "unix:///nowhere/redis.sock")
    command = [sys.executable, "-c", _RUN.format(heavy=HEAVY), *nowhere, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == code, done.stderr


def test_a_command_of_our_own_log_loads_nothing_of_backend_ai() -> None:
    listing = "import sys, consumers.cli.endpoints.endpoints; print(*sys.modules)"
    command = [sys.executable, "-c", listing]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "consumers.cli.deployment" in loaded
    assert not {"producers.backend_ai", "consumers.cli.backend_ai_entry"} & set(loaded)


def test_a_list_of_commands_imports_none() -> None:
    named = {place.written.partition(":")[0] for place in PLACES.values()}
    command = [sys.executable, "-c", _RUN.format(heavy=named), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0", done.stderr
    assert PLACES["routes"].sentence in done.stdout


def test_what_is_done_to_commands_is_done_to_those_that_are_imported_later() -> None:
    group = CommandGroup("all", places={"events": PLACES["events"]})
    seen: list[str | None] = []
    group.prepare(lambda command: seen.append(command.name))
    assert seen == []
    assert "events" in commands_of(group)
    assert {"events", "tail", "range"} <= set(seen)
