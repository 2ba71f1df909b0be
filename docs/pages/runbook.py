"""Fills the runbook with what the commands that answer an operator's questions print.

`python -m docs.pages.runbook docs/runbook.md` runs the incident, runs every command of `COMMANDS`
in it, and writes their output between the page's markers. The text around them is written by hand.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import msgspec

from consumers.processes.embedded import EmbeddedServer, embedded_server
from consumers.processes.logs import configure_logs
from consumers.processes.supervisor import routestream_command
from docs.pages.incident import Incident, environment_of, run_incident
from events.streams.group_activity import SILENT_MS

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "behind": (
        "groups ls",
        "groups show health-state",
        "groups show route-table",
    ),
    "stuck": (
        "groups pending route-table",
        "events show {stuck}",
    ),
    "changed": (
        "health show chat --from -1h",
        "endpoints show chat",
        "endpoints why chat",
        "events trace chat",
        "events tail --endpoint c4a70000 --from -1h",
    ),
    "dead": (
        "dead ls",
        "dead requeue warm-up --error failed --dry-run",
        "dead requeue warm-up --error failed --reason 'the replica listens now' --yes",
        "dead ls warm-up",
    ),
    "trim": (
        "streams ls",
        "streams show 0",
        "streams trim --keep 1h --dry-run",
    ),
}
"""Commands by the marker in the page; `{stuck}` stands for the id of the stuck entry."""

PROGRAM = "routestream"
WIDTH = 110
_BEGIN = re.compile(r"^<!-- commands: (\w+) -->$", re.MULTILINE)
_SECTION = re.compile(r"(<!-- commands: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_PATIENCE_S = 60.0


class RunbookError(Exception):
    """The page and the runbook disagree, or a command of the runbook failed."""


class Printed(msgspec.Struct, frozen=True):
    """A command as it is typed, and its output."""

    command: str
    output: str


async def write(page: str) -> str:
    """Run the incident, and return *page* with the output of the commands filled in.

    Raises:
        RunbookError: The page lacks a marker or has one too many, or a command fails.
    """
    named = _BEGIN.findall(page)
    if sorted(named) != sorted(COMMANDS):
        raise RunbookError(f"the page has the markers {named}, the runbook {list(COMMANDS)}")
    printed = await answers()

    def answered(found: re.Match[str]) -> str:
        return f"{found[1]}{_block(printed[found[2]])}{found[3]}"

    return _SECTION.sub(answered, page)


async def answers() -> dict[str, list[Printed]]:
    """Run the incident, and return what each command prints, by marker."""
    with embedded_server() as server:
        async with run_incident(server) as incident:
            stuck = "" if incident.stuck is None else str(incident.stuck.entry_id)
            # Earlier, their output about that consumer would depend on the speed of the machine.
            await _until_silent(incident)
            return {
                marker: [await _printed(server, text.format(stuck=stuck)) for text in commands]
                for marker, commands in COMMANDS.items()
            }


async def _until_silent(incident: Incident) -> None:
    """Wait until the hung consumer counts as silent."""
    stream, client = incident.log.keys.events(0), incident.log.server.client
    with anyio.fail_after(_PATIENCE_S):
        while True:
            [consumer] = await client.execute_command("XINFO CONSUMERS", stream, "route-table")
            if consumer["idle"] >= SILENT_MS:
                return
            await anyio.sleep((SILENT_MS - consumer["idle"]) / 1_000)


async def _printed(server: EmbeddedServer, command: str) -> Printed:
    environment = {**os.environ, **environment_of(server), "COLUMNS": str(WIDTH)}
    done = await anyio.run_process(
        routestream_command(*shlex.split(command)), env=environment, check=False
    )
    output, messages = done.stdout.decode(), done.stderr.decode()
    if done.returncode:
        raise RunbookError(f"`{command}` ends with {done.returncode}: {messages or output}")
    return Printed(f"{PROGRAM} {command}", messages + output)


def _block(printed: list[Printed]) -> str:
    parts = [f"$ {one.command}\n{one.output.rstrip()}\n" for one in printed]
    return "\n```console\n" + "\n".join(parts) + "```\n\n"


def main(path: Path) -> None:
    """Write the output of the commands into the page at *path*."""
    configure_logs("critical")
    page = path.read_text(encoding="utf-8")
    path.write_text(anyio.run(write, page), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
