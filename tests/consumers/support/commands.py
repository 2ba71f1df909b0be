"""Running a click group in tests, and reading what it printed."""

import re
from functools import partial

import anyio
import click
from anyio.to_thread import run_sync
from click.testing import CliRunner, Result
from msgspec.structs import replace

from consumers.cli.deployment import Deployment
from consumers.cli.exit_codes import exit_code_of
from consumers.settings import Settings
from events.server.settings import ServerSettings

_PLACEHOLDERS = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z?"), "TIME"),
    (re.compile(r"\b\d{13}-\d+\b"), "ID"),
    (re.compile(r"\b\d+s( ago)?\b"), "AGE"),
    (re.compile(r" {2,}"), "  "),
)


class Commands:
    """Runs the commands of one deployment, each in a thread: it has an event loop of its own."""

    def __init__(self, url: str, namespace: str) -> None:
        self.deployment = Deployment(Settings(namespace, server=ServerSettings(url=url)))

    def configure(self, **parts: object) -> None:
        """Give the commands other settings from now on."""
        settings = replace(self.deployment.settings, **parts)
        self.deployment = replace(self.deployment, settings=settings)

    async def __call__(self, group: click.Command, *arguments: str) -> Result:
        run = partial(CliRunner().invoke, group, arguments, obj=self.deployment)
        with anyio.fail_after(30):
            return await run_sync(run)

    async def lines(self, group: click.Command, *arguments: str) -> list[str]:
        """Return what is printed, with a placeholder for all that differs from run to run."""
        result = await self(group, *arguments)
        assert result.exit_code == 0, result.output
        return [normalised(line) for line in result.stdout.splitlines()]


def end_of(result: Result) -> int:
    """Return the exit code that the command ends with; a fault of the code is raised."""
    error = result.exception
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, Exception):
        return result.exit_code
    code = exit_code_of(error)
    if code is None:
        raise error
    return code


def normalised(line: str) -> str:
    for pattern, placeholder in _PLACEHOLDERS:
        line = pattern.sub(placeholder, line)
    return line
