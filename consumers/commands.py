"""The commands that run processes."""

from collections.abc import Mapping, Sequence

import click

from consumers.checker_process import run_checker
from consumers.groups import GROUPS, check_group, new_consumer_name, run_group, warn_of_weaknesses
from consumers.settings import current_settings
from consumers.supervisor import Supervisor, routestream_command
from events.terminal import Deployment, command_of

PROCESSES_MAX = 64

processes_option = click.option(
    "--processes",
    type=click.IntRange(1, PROCESSES_MAX),
    help="Run so many supervised processes; without it, this process does the work itself.",
)
supervised_option = click.option("--supervised", is_flag=True, hidden=True)


@click.command()
@click.argument("group", required=False)
@click.option("--all", "every_group", is_flag=True, help="Run every group there is.")
@processes_option
@click.option("--consumer", help="The consumer's name; a new one unless given.")
@supervised_option
@command_of
async def consume(
    deployment: Deployment,
    *,
    group: str | None,
    every_group: bool,
    processes: int | None,
    consumer: str | None,
    supervised: bool,
) -> None:
    """Run the consumers of a group until a signal stops them.

    The first SIGTERM or SIGINT lets them finish what is in flight, a second one does not wait.

    \b
    Example: routestream consume route-table --processes 2
    """
    if (group is None) != every_group:
        raise click.UsageError("give either GROUP or --all")
    names = list(GROUPS) if every_group else [check_group(group or "")]
    if processes is None and not every_group:
        settings = current_settings()
        async with deployment.open_log(create=True) as log:
            name = consumer or new_consumer_name()
            await run_group(log, names[0], name, settings.consumer, supervised=supervised)
        return
    if consumer is not None:
        raise click.UsageError("--consumer names one process; it does not go with several")
    commands = {
        f"{name}-{slot}": ("consume", name, "--consumer", new_consumer_name())
        for name in names
        for slot in range(processes or 1)
    }
    await _supervise(deployment, commands)


@click.group()
def checkers() -> None:
    """Run the health checkers."""


@checkers.command("run")
@processes_option
@supervised_option
@command_of
async def run_checkers(deployment: Deployment, *, processes: int | None, supervised: bool) -> None:
    """Probe the routes of all endpoints that have a health check, and record what changes.

    The living checkers share the endpoints among them.

    \b
    Example: routestream checkers run --processes 2
    """
    if processes is not None:
        commands = {f"checker-{slot}": ("checkers", "run") for slot in range(processes)}
        await _supervise(deployment, commands)
        return
    settings = current_settings()
    async with deployment.open_log(create=True) as log:
        await run_checker(log, settings, supervised=supervised)


async def _supervise(deployment: Deployment, commands: Mapping[str, Sequence[str]]) -> None:
    """Run *commands* as supervised processes, once it is known that the server is fit for them."""
    async with deployment.open_log(create=True) as log:
        await warn_of_weaknesses(log.server)
    await Supervisor(
        {
            name: routestream_command(*arguments, "--supervised")
            for name, arguments in commands.items()
        }
    ).run()
