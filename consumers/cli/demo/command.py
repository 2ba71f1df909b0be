"""The `demo` command."""

import sys
from time import monotonic

import anyio
import click
from rich.console import Console

from consumers.cli.demo.checks import Checks
from consumers.cli.demo.cluster import run_cluster
from consumers.cli.demo.shell import Shell
from consumers.cli.demo.story import Story
from consumers.cli.demo.view import View, columns_of, open_view
from consumers.cli.terminal.interrupt import interrupted_at_once
from consumers.cli.terminal.messages import EXIT_FAILED
from consumers.processes.embedded import EmbeddedServer, NoServerProgramError, embedded_server
from consumers.processes.logs import configure_logs
from consumers.processes.stopping import stopping

DEMO_TIMEOUT_S = 80.0
PACE_S = 2.0
"""Time between two steps on a terminal, for a person to see what has changed."""

UNHURRIED_S = 45.0
"""After this time the steps follow each other without a pause: the machine is slow enough."""

LOG_LINES_SHOWN = 40
"""Lines of the processes' logs that are shown if a check failed."""


@click.command()
def demo() -> None:
    """Run everything on this machine: servers, checkers, projectors, a proxy; and prove it.

    It needs nothing else, ends by itself, and leaves nothing running. The exit code is 1 if a
    check did not hold.

    \b
    Example: routestream demo
    """
    configure_logs("critical")
    console = Console(soft_wrap=True)
    began_at = monotonic()
    try:
        with interrupted_at_once(), embedded_server() as server:
            with open_view(console) as view:
                checks = anyio.run(_run, server, view, console)
            if checks is None:
                raise click.Abort
            view.leave_behind()
            for check in checks.made if console.is_terminal or checks.failed else ():
                console.print(
                    f"{'ok' if check.held else 'FAILED':6}  {check.what}", highlight=False
                )
            if checks.failed:
                lines = (server.folder / "processes.log").read_text().splitlines()
                console.print("\n".join(lines[-LOG_LINES_SHOWN:]), highlight=False, markup=False)
    except NoServerProgramError as error:
        raise click.ClickException(str(error)) from None
    took = f"in {monotonic() - began_at:.0f} s"
    if checks.failed:
        click.echo(f"{checks.failed} of {len(checks.made)} checks failed {took}")
        sys.exit(EXIT_FAILED)
    click.echo(f"all {len(checks.made)} checks held {took}")


async def _run(server: EmbeddedServer, view: View, console: Console) -> Checks | None:
    """Run the demo; return None if a signal ended it."""
    checks = Checks(view.check)
    began_at = monotonic()
    finished = False
    async with anyio.create_task_group() as tasks:

        async def stop() -> None:
            tasks.cancel_scope.cancel()

        async def pause() -> None:
            if console.is_terminal and monotonic() - began_at < UNHURRIED_S:
                await anyio.sleep(PACE_S)

        async with (
            stopping(stop),
            run_cluster(server) as cluster,
            anyio.create_task_group() as viewing,
        ):
            viewing.start_soon(view.follow, cluster)
            with anyio.move_on_after(DEMO_TIMEOUT_S) as patience:
                shell = Shell(cluster.environment, columns_of(console), view.printed)
                await Story(cluster, checks, view.step, pause, shell).play()
            if patience.cancelled_caught:
                checks.note(f"the story ends within {DEMO_TIMEOUT_S:.0f} s", held=False)
            finished = True
            viewing.cancel_scope.cancel()
    return checks if finished else None
