"""The `top` command."""

import sys

import anyio
import click

from consumers.logs import configure_logs
from consumers.settings import current_settings
from consumers.top.app import TopApp
from consumers.top.watch import Watch
from events.terminal.output import Deployment, command_of
from projections.reader import RouteTableReader


@click.command()
@command_of
async def top(deployment: Deployment) -> None:
    """Watch live: endpoints, groups, dead letters and the log, on the whole screen.

    It never writes; an account that may only read will do. While the server is away it shows what
    there was. The key ? tells the keys.

    \b
    Example: routestream top
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("top needs a terminal; `endpoints ls --watch` does not")
    # What is logged would be written across the screen; what matters of it is shown there.
    configure_logs("critical")
    async with deployment.open_log() as log, anyio.create_task_group() as tasks:
        reader = RouteTableReader(log.server, log.keys, log.partitions, current_settings().reader)
        tasks.start_soon(reader.run)
        await TopApp(Watch(log, reader)).run_async()
        tasks.cancel_scope.cancel()
