"""Run a log on a Redis Cluster with two hosts of processes and a proxy; break it, and prove it.

Needs what `routestream demo` needs, and the test servers: `make cluster-demo` runs it.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import anyio
import msgspec
from rich.console import Console

from consumers.cli.demo.checks import Checks
from consumers.cli.demo.cluster import Cluster, run_cluster
from consumers.cli.demo.narrator import Narrator
from consumers.cli.demo.shell import Shell
from consumers.cli.demo.traefik_proxy import polled_traefik
from consumers.cli.demo.view import LineView, columns_of
from consumers.processes.logs import configure_logs
from consumers.processes.supervisor import Supervisor, routestream_command
from events import open_log
from tests.cluster_demo.story import PARTITIONS, STAGE, ClusterStory, second_host
from tests.support.cluster_servers import cluster_servers

TIMEOUT_S = 300.0
_LOG_LINES_SHOWN = 40


class DemoPlace(msgspec.Struct, frozen=True):
    """Where the processes of the demo find their log, and write theirs."""

    url: str
    folder: Path


@asynccontextmanager
async def _hosted(cluster: Cluster) -> AsyncIterator[Supervisor]:
    """Run the processes of the second host."""
    host = Supervisor(
        {name: routestream_command(*words) for name, words in second_host().items()},
        environment=cluster.environment,
        stderr=cluster.output,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host.keep_running)
        try:
            yield host
        finally:
            with anyio.CancelScope(shield=True):
                await host.stop()


async def demonstrate(console: Console, folder: Path) -> Checks:
    """Play the story; its processes write to `processes.log` in *folder*."""
    view = LineView(console)
    checks = Checks(view.check)
    with anyio.move_on_after(TIMEOUT_S) as patience:
        async with cluster_servers("--appendfsync", "everysec") as nodes:
            deployed = DemoPlace(nodes.url, folder)
            async with open_log(deployed.url, namespace="demo", partitions=PARTITIONS):
                pass
            with polled_traefik() as fed:
                async with run_cluster(STAGE, deployed, fed) as cluster, _hosted(cluster) as host:
                    shell = Shell(cluster.environment, columns_of(console), view.printed)
                    narrator = Narrator(checks, view.step, anyio.lowlevel.checkpoint, shell)
                    await ClusterStory(cluster, nodes, host, narrator).play()
    if patience.cancelled_caught:
        checks.note(f"the story ends within {TIMEOUT_S:.0f} s", held=False)
    return checks


def main() -> None:
    """Run it; the exit code is 1 if a check did not hold."""
    configure_logs("critical")
    console, began_at = Console(soft_wrap=True), monotonic()
    with TemporaryDirectory(prefix="routestream-") as name:
        checks = anyio.run(demonstrate, console, Path(name))
        if checks.failed:
            lines = (Path(name) / "processes.log").read_text().splitlines()
            console.print("\n".join(lines[-_LOG_LINES_SHOWN:]), highlight=False, markup=False)
    took = f"in {monotonic() - began_at:.0f} s"
    if checks.failed:
        sys.exit(f"{checks.failed} of {len(checks.made)} checks failed {took}")
    console.print(f"all {len(checks.made)} checks held {took}", highlight=False)


if __name__ == "__main__":
    main()
