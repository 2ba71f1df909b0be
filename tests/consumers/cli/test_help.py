"""What every command says of itself: an example that works, and the pages made of it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from consumers.cli.command_tree import routestream
from docs.pages.cli_pages import root_context, walk

ROOT = Path(__file__).parents[3]
EXAMPLE = re.compile(r"^ *Example: (routestream .*)$", re.MULTILINE)

ROOT_OPTIONS = re.compile(r"^routestream(?: --[a-z]+ \S+)*")

COMMANDS = [
    (context.command_path, command) for command, context in walk(routestream, root_context())
]
LEAVES = [(path, one) for path, one in COMMANDS if not isinstance(one, click.Group)]


def examples(command: click.Command) -> list[str]:
    return EXAMPLE.findall((command.help or "").replace("\b", ""))


def test_the_whole_tree_is_walked() -> None:
    assert len(LEAVES) > 20
    assert {path for path, _ in COMMANDS} > {
        "routestream events tail",
        "routestream streams show",
        "routestream completion",
    }


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_command_has_an_example_that_is_understood(
    path: str, command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = examples(command)
    assert found, "its help has no line `Example: routestream ...`"
    for example in found:
        named = ROOT_OPTIONS.sub("routestream", example)
        assert named.startswith(path)
        words = shlex.split(named.removeprefix(path).partition(" | ")[0])
        for word in words:
            if re.fullmatch(r"[\w-]+\.\w{2,5}", word):
                Path(word).touch()
        command.make_context(path, words, parent=root_context())


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_command_says_in_one_sentence_what_it_does(path: str, command: click.Command) -> None:
    first = (command.help or "").strip().partition("\n\n")[0]
    assert first.endswith("."), path


@pytest.mark.parametrize("columns", ["41", "200"])
def test_the_pages_are_what_the_commands_say_on_any_terminal(columns: str) -> None:
    command = [sys.executable, "-m", "docs.pages.cli_pages"]
    environment = {**os.environ, "COLUMNS": columns, "PYTHONUTF8": "1"}
    made = subprocess.run(command, env=environment, capture_output=True, check=True, cwd=ROOT)
    written = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert "--watch [INTERVAL]" in written
    is_fresh = written == made.stdout.decode()
    assert is_fresh, "docs/cli.md is stale: python -m docs.pages.cli_pages docs/cli.md"


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_option_says_what_it_is_for(path: str, command: click.Command) -> None:
    shown = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    assert [one.opts for one in shown if not (one.help or "").endswith(".")] == [], path


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_one_thing_has_one_name(path: str, command: click.Command) -> None:
    options = {one.opts[-1]: one for one in command.params if isinstance(one, click.Option)}
    assert not options.keys() & {"--since", "--until", "--note"}, path
    for name in options.keys() & {"--from", "--to"}:
        meant = {"routestream endpoints rollout": "REVISION", "routestream log move": "URL"}
        assert options[name].metavar == meant.get(path, "POSITION"), path
    if "--reason" in options:
        assert (options["--reason"].help or "").startswith("Why"), path


def test_a_moment_is_asked_for_by_three_names_and_an_age_of_idleness_by_one() -> None:
    options = [one for _, command in LEAVES for one in command.params]
    named = {(one.metavar, one.opts[-1]) for one in options if isinstance(one, click.Option)}
    assert {name for metavar, name in named if metavar == "POSITION"} == {
        *("--from", "--to", "--as-of")
    }
    assert {name for metavar, name in named if metavar == "AGE"} == {"--idle", "--keep"}
