"""The runbook: its commands print in the incident what the page shows."""

import re
from difflib import unified_diff
from pathlib import Path

import pytest

from docs.pages import runbook
from docs.pages.runbook import COMMANDS, RunbookError

PAGE = Path(__file__).parents[1] / "docs" / "runbook.md"

_SECTION = re.compile(r"<!-- commands: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
_COMMAND = re.compile(r"^\$ routestream (.+)\n((?:(?!\$ |```).*\n)*)", re.MULTILINE)
_PLACEHOLDERS = (
    (r"\d{4}-\d\d-\d\dT[\d:.+]+", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b", "EVENT"),
    (r"\b\d{13}-\d+\b", "ENTRY"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b(\d+[dhm] )?\d+(\.\d+)?(s|m|ms)\b", "AGE"),
    (r"\b\d+(\.\d+)?%", "SHARE"),
    (r"\b\d+(\.\d+)? ([kM]?B)\b", "SIZE"),
    (r"\b\d+(\.\d+)?/s", "RATE/s"),
    (r"\b\d+\.\d+\b", "RATE"),
    (r"\bpid \d+", "PID"),
    (r"\d+ on \S+ is silent", "PID on HOST is silent"),
    (r"^([\w-]+-\d) +\S+ +\d+ +(\d+ +AGE)", r"\1 HOST PID \2"),
    (r"[█▁▄░·╌]{4,}", "STRIP"),
    (r"[ ─-]+", " "),
    (r"^revision \d+", "revision COUNT"),  # what is applied together is one revision
    (r":events \d+ SIZE \d+ \d+", ":events COUNT SIZE COUNT RATE"),
    (r"(group:.* ENTRY AGE) \d+", r"\1 COUNT"),
    (r"\b1[12]\b", "COUNT"),  # what audit-2025 has left: a checker may see one change more
)


def shown(page: str) -> dict[str, list[tuple[str, list[str]]]]:
    """The commands of each section with what they print, without what differs from run to run."""
    return {
        marker: [
            (normalised(command), sorted(normalised(line) for line in output.splitlines()))
            for command, output in _COMMAND.findall(text)
        ]
        for marker, text in _SECTION.findall(page)
    }


def normalised(line: str) -> str:
    for pattern, placeholder in _PLACEHOLDERS:
        line = re.sub(pattern, placeholder, line)
    return line.strip()


@pytest.mark.processes
async def test_every_command_prints_what_the_page_shows() -> None:
    page = PAGE.read_text(encoding="utf-8")
    made = shown(await runbook.write(page))
    told = shown(page)
    assert told.keys() == COMMANDS.keys()
    for marker, commands in told.items():
        for (command, lines), (made_command, made_lines) in zip(
            commands, made[marker], strict=True
        ):
            assert made_command == command
            assert lines == made_lines, "\n".join(unified_diff(lines, made_lines, command, n=0))


def test_the_page_has_every_command() -> None:
    told = shown(PAGE.read_text(encoding="utf-8"))
    for marker, commands in COMMANDS.items():
        there = [normalised(one.format(stuck="1-0")) for one in commands]
        assert [re.sub(r"\b1 0\b", "ENTRY", one) for one in there] == [
            command for command, _ in told[marker]
        ]


async def test_a_page_without_a_section_is_refused_before_anything_is_started() -> None:
    with pytest.raises(RunbookError, match="markers"):
        await runbook.write("# nothing here\n")
