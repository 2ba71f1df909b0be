"""Commands that README and docs name exist; the sessions do what they show."""

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
README_SESSION = README[README.index("## In a shell") : README.index("## In Python")]
SESSION = (ROOT / "docs" / "session.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINES_MAX = 130
BIN = Path(sys.executable).parent

Command = tuple[str, str]


def commands(page: str) -> list[Command]:
    """Return each command of the shell sessions of *page*, with the output shown for it."""
    found: list[Command] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
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


def test_a_newcomer_reads_the_readme_in_one_sitting() -> None:
    assert len(README.splitlines()) <= LINES_MAX


def test_the_pages_that_the_readme_names_are_there() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", README)

    assert len(linked) > 10
    assert [link for link in linked if not (ROOT / link).exists()] == []


@pytest.mark.parametrize(("page", "least"), [(README_SESSION, 6), (SESSION, 8)])
def test_a_shell_session_does_what_it_shows(
    page: str, least: int, environment: dict[str, str], background: list[subprocess.Popen[bytes]]
) -> None:
    shown = commands(page)

    assert len(shown) >= least
    for command, output in shown:
        if command.startswith((".", "export")):
            continue  # the tests' own environment stands for these
        if command.endswith(("&", "dev-server")):
            words = command.removesuffix("&").split()
            if words[-1] == "dev-server":
                words += ["--port", "0"]  # the usual port may be a stranger's
            started = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
            background.append(started)
            continue
        if output:
            until_folded(environment)
        printed = run(command, environment)
        assert not output or normalised(printed) == normalised(output), command
    until_folded(environment)
    assert example(environment) == "10.0.0.2:8000 weight 1\n"


def test_the_example_in_the_readme_is_the_one_in_the_examples() -> None:
    [block] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    assert block == (ROOT / "examples" / "route_a_request.py").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_commands_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"`routestream\s+([^`]+)`", page.read_text())

    assert named or page.name not in {"README.md", "runbook.md"}
    for words in named:
        command: click.Command = routestream
        context = click.Context(command, info_name="routestream")
        rest = words.split()
        while isinstance(command, click.Group):
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None, words
            command = found
            context = click.Context(command, parent=context, info_name=command.name)
        if rest or page == ROOT / "README.md":  # a page may name a command without its arguments
            command.parse_args(click.Context(command, parent=context.parent), list(rest))


def test_the_make_targets_of_the_readme_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z]+)", README))

    assert {"demo", "test"} <= named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def until_folded(environment: dict[str, str]) -> None:
    """Wait until the projectors have folded what was recorded before."""
    wait = [str(BIN / "routestream"), "groups", "ls", "-o", "json"]
    for _ in range(40):
        listed = subprocess.run(
            wait, env=environment, capture_output=True, text=True, check=True, timeout=30
        )
        if '"backlog": 0' in listed.stdout and '"route-table"' in listed.stdout:
            break


def run(command: str, environment: dict[str, str]) -> str:
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
