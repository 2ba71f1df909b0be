"""Everything in the README that looks like a command is run, and does what the README says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from consumers.cli.command_tree import routestream
from consumers.processes.embedded import EmbeddedServer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent

Command = tuple[str, str]


def commands() -> list[Command]:
    """Return each command of the shell sections, with the output that is shown for it."""
    section = README[README.index("## In a shell") : README.index("## In Python")]
    found: list[Command] = []
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


@pytest.fixture
def environment(own_server: EmbeddedServer) -> dict[str, str]:
    return {
        **os.environ,
        "REDIS_URL": own_server.url,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "160",
    }


@pytest.fixture
def background() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.terminate()
    for process in started:
        assert process.wait(30) == 0


def test_the_shell_session_does_what_it_shows(
    environment: dict[str, str], background: list[subprocess.Popen[bytes]]
) -> None:
    shown = commands()

    assert len(shown) >= 8
    for command, output in shown:
        if command.startswith((".", "export")):
            continue  # the tests' own environment stands for these
        if command.endswith("&"):
            words = command.removesuffix("&").split()
            started = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
            background.append(started)
            continue
        assert normalised(run(command, environment)) == normalised(output), command
    assert example(environment) == "10.0.0.2:8000 weight 1\n"


def test_the_example_in_the_readme_is_the_one_in_the_examples() -> None:
    [block] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    assert block == (ROOT / "examples" / "route_a_request.py").read_text()


def test_the_commands_that_the_readme_names_are_there() -> None:
    named = re.findall(r"`routestream\s+([^`]+)`", README)

    assert len(named) > 12
    for words in named:
        command: click.Command = routestream
        context = click.Context(command, info_name="routestream")
        rest = words.split()
        while isinstance(command, click.Group):
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None, words
            command = found
            context = click.Context(command, parent=context, info_name=command.name)
        command.parse_args(click.Context(command, parent=context.parent), list(rest))


def test_the_make_targets_of_the_readme_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z]+)", README))

    assert {"demo", "test", "bench"} <= named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def run(command: str, environment: dict[str, str]) -> str:
    """Run it; wait first until the projectors have folded what was recorded before."""
    wait = [str(BIN / "routestream"), "groups", "ls", "-o", "json"]
    for _ in range(40):
        listed = subprocess.run(
            wait, env=environment, capture_output=True, text=True, check=True, timeout=30
        )
        if '"backlog": 0' in listed.stdout and '"route-table"' in listed.stdout:
            break
    done = subprocess.run(
        ["sh", "-c", f"{command} 2>&1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def example(environment: dict[str, str]) -> str:
    script = str(ROOT / "examples" / "route_a_request.py")
    return subprocess.run(
        [sys.executable, script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout


def normalised(output: str) -> list[str]:
    """Return the lines with ids, times, ages and the width of columns taken out."""
    text = re.sub(r"\d{13}-\d+", "ENTRY", output)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "TIME", text)
    text = re.sub(r"\b\d+(ms|s)\b(?= ago|\s)", "AGE", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]
