"""The `top` command."""

import signal
import sys

import anyio
import click
from anyio.abc import TaskStatus

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.top.app import TopApp
from consumers.cli.top.deployment_reader import DeploymentReader
from consumers.processes.logs import configure_logs
from projections.read_model.reader import RouteTableReader

_SIGNALLED = 128
"""Added to the number of a signal for the exit code of a program that it ended."""


@click.command()
@command_of
async def top(deployment: Deployment) -> None:
    """Watch live: endpoints, groups, dead letters and the log, on the whole screen.

    It never writes; an account that may only read will do. While the server is away it shows what
    there was. The key ? tells the keys.

    Its exit code is 0 after the key q, 130 after Ctrl-C; a signal that ends it gives the terminal
    back first, and is told as shells do: 143 for SIGTERM, 129 for SIGHUP.

    \b
    Example: routestream top
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("top needs a terminal; `endpoints ls --watch` does not")
    # Log lines would be written across the screen, which shows what matters of them.
    configure_logs("critical")
    async with deployment.open_log() as log, anyio.create_task_group() as tasks:
        reader = RouteTableReader(log.server, log.keys, log.partitions, deployment.settings.reader)
        tasks.start_soon(reader.run)
        archive = deployment.open_archive()
        app = TopApp(DeploymentReader(log, reader, archive))
        await tasks.start(_end_on_signal, app)
        await app.run_async()
        tasks.cancel_scope.cancel()
    click.get_current_context().exit(app.return_code or 0)


async def _end_on_signal(app: TopApp, *, task_status: TaskStatus[None]) -> None:
    """Exit the app on a signal, so that it restores the terminal; the next one ends at once."""
    ending = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    handled = [one for one in ending if signal.getsignal(one) is not signal.SIG_IGN]
    with anyio.open_signal_receiver(*handled) as signals:
        task_status.started()
        app.exit(return_code=_SIGNALLED + await anext(signals))
