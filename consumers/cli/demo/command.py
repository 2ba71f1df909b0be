"""The `demo` command."""

import errno
import logging
import os
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import monotonic

import anyio
import click
from rich.console import Console

from consumers.cli.demo.appproxy_proxy import ENVIRONMENT, fed_appproxy
from consumers.cli.demo.checks import Checks
from consumers.cli.demo.cluster import Cluster, run_cluster
from consumers.cli.demo.lifecycle import story as life_story
from consumers.cli.demo.narrator import Narrator
from consumers.cli.demo.real_proxy import FedProxy
from consumers.cli.demo.replica import DemoError
from consumers.cli.demo.shell import Shell
from consumers.cli.demo.stage import Stage
from consumers.cli.demo.table import story as table_story
from consumers.cli.demo.traefik_proxy import polled_traefik
from consumers.cli.demo.view import View, columns_of, open_view
from consumers.cli.terminal.interrupt import Interruption, noted_interrupts
from consumers.cli.terminal.messages import EXIT_FAILED
from consumers.processes.appproxy.errors import AppProxyFailedError, NoAppProxyError
from consumers.processes.embedded import EmbeddedServer, NoServerProgramError, embedded_server
from consumers.processes.logs import configure_logs
from consumers.processes.traefik_process import NoTraefikError, is_traefik_installed

DEMO_TIMEOUT_S = 150.0
PACE_S = 2.0
"""Time between two steps on a terminal, for a person to see what has changed."""

UNHURRIED_S = 45.0
"""After this time the steps follow each other without a pause: the machine is slow enough."""

LOG_LINES_SHOWN = 40
"""Lines of the processes' logs that are shown if a check failed."""

FILES_MIN = 96
"""Files that the demo must be allowed to open at the same time."""

_APPPROXY_NEEDS = (
    "AppProxy needs PostgreSQL, and an environment of its own on Python 3.13 with the packages"
    " backend.ai-appproxy-coordinator and backend.ai-appproxy-worker: name it by --appproxy"
)
_FILES = "raise the limit of open files (`ulimit -n 1024`)"
_PORTS = "see which processes hold its ports (`ss -tan`)"
_LACKS = {
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.EADDRINUSE: _PORTS,
    errno.EADDRNOTAVAIL: _PORTS,
    errno.EAGAIN: "see how many processes there are (`ulimit -u`)",
    errno.ENOMEM: "see what takes its memory",
    errno.ENOSPC: "make room on the disk that has the temporary files",
}
"""What the machine may lack, and what to do about it."""


STORIES: Mapping[str, tuple[Stage, Callable[[Cluster, Narrator], Awaitable[None]]]] = {
    "table": (table_story.STAGE, table_story.play_table_story),
    "lifecycle": (life_story.STAGE, life_story.play_life_story),
}
"""What each story is played on, and what plays it."""


@click.command()
@click.option(
    "--story",
    type=click.Choice([*STORIES]),
    default="table",
    show_default=True,
    help="How the route table is kept, or how routes live and how their health is checked.",
)
@click.option(
    "--proxy",
    type=click.Choice(["traefik", "appproxy", "reader"]),
    help="Traefik (the default where its extra is installed), Backend.AI's AppProxy, or a proxy"
    " that asks the reader.",
)
@click.option(
    "--appproxy",
    "appproxy_environment",
    type=click.Path(path_type=Path, file_okay=False),
    default=ENVIRONMENT,
    show_default=True,
    help="The Python environment that has AppProxy 26.4.4 or newer; `make appproxy` makes it.",
)
def demo(story: str, proxy: str | None, appproxy_environment: Path) -> None:
    """Run everything on this machine: servers, checkers, projectors, a proxy; and prove it.

    It needs nothing else, ends by itself, and leaves nothing running. The exit code is 1 if a
    check did not hold.

    \b
    Example: routestream demo
    Example: routestream demo --story lifecycle
    """
    configure_logs("critical")
    # It warns of processes that were ended, and looked at, before it could look itself.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    console = Console(soft_wrap=True)
    began_at = monotonic()
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < FILES_MIN:
        raise click.ClickException(
            f"the demo needs {FILES_MIN} open files, {allowed} are allowed; {_FILES}"
        )
    try:
        chosen = proxy or ("traefik" if is_traefik_installed() else "reader")
        with _fed(chosen, appproxy_environment) as fed:
            checks = _demonstrate(console, fed, story)
    except (NoServerProgramError, NoTraefikError, AppProxyFailedError) as error:
        raise click.ClickException(str(error)) from None
    except NoAppProxyError as error:
        raise click.ClickException(f"{error}; {_APPPROXY_NEEDS}") from None
    except Exception as error:
        why = _lack_in(error)
        if why is None:
            raise
        raise click.ClickException(f"the demo cannot run on this machine now: {why}") from None
    took = f"in {monotonic() - began_at:.0f} s"
    if checks.failed:
        click.echo(f"{checks.failed} of {len(checks.made)} checks failed {took}")
        sys.exit(EXIT_FAILED)
    click.echo(f"all {len(checks.made)} checks held {took}")


def _fed(proxy: str, appproxy_environment: Path) -> AbstractContextManager[FedProxy | None]:
    if proxy == "appproxy":
        return fed_appproxy(appproxy_environment.absolute())
    return polled_traefik() if proxy == "traefik" else nullcontext()


def _demonstrate(console: Console, fed: FedProxy | None, story: str) -> Checks:
    """Run the demo, and return its checks; raise click.Abort where a signal ended it."""
    with noted_interrupts() as interruption, embedded_server() as server:
        with open_view(console) as view:
            checks = anyio.run(_run, story, (server, fed), view, console, interruption)
        if checks is None:
            raise click.Abort
        view.leave_behind()
        for check in checks.made if console.is_terminal or checks.failed else ():
            console.print(f"{'ok' if check.held else 'FAILED':6}  {check.what}", highlight=False)
        if checks.failed:
            lines = (server.folder / "processes.log").read_text().splitlines()
            console.print("\n".join(lines[-LOG_LINES_SHOWN:]), highlight=False, markup=False)
    return checks


def _lack_in(error: BaseException) -> str | None:
    """Return what the machine lacks, if that is what *error* is about, else None."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_lack_in, error.exceptions)), None)
    if isinstance(error, DemoError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _LACKS:
        return f"{os.strerror(error.errno).lower()}; {_LACKS[error.errno]}"
    cause = error.__cause__ or error.__context__
    return None if cause is None else _lack_in(cause)


async def _run(
    story: str,
    servers: tuple[EmbeddedServer, FedProxy | None],
    view: View,
    console: Console,
    interruption: Interruption,
) -> Checks | None:
    """Run the demo; return None if a signal ended it."""
    stage, play = STORIES[story]
    checks = Checks(view.check)
    began_at = monotonic()

    async def pause() -> None:
        if console.is_terminal and monotonic() - began_at < UNHURRIED_S:
            await anyio.sleep(PACE_S)

    with (
        anyio.move_on_after(DEMO_TIMEOUT_S) as patience,
        interruption.cancelling(patience),
    ):
        async with run_cluster(stage, *servers) as cluster, anyio.create_task_group() as viewing:
            interruption.hurry(cluster.supervisor.kill)
            viewing.start_soon(view.follow, cluster)
            shell = Shell(cluster.environment, columns_of(console), view.printed)
            await play(cluster, Narrator(checks, view.step, pause, shell))
            viewing.cancel_scope.cancel()
    if interruption.count:
        return None
    if patience.cancelled_caught:
        checks.note(f"the story ends within {DEMO_TIMEOUT_S:.0f} s", held=False)
    return checks
