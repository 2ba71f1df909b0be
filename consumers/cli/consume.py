"""The commands that run processes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import click
from msgspec.structs import replace

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.options import COUNT_MAX
from consumers.membership.death_notice import tell_of_death
from consumers.monitoring.http import exposition
from consumers.monitoring.targets import ExposedSupervisor
from consumers.processes.checker_process import run_checker
from consumers.processes.group_process import (
    kept_consumer_name,
    new_consumer_name,
    run_group,
    warn_of_broken_plugins,
    warn_of_weaknesses,
)
from consumers.processes.life_cycle_process import run_life_cycle
from consumers.processes.moved_log import run_where_it_is
from consumers.processes.retention_process import run_retention
from consumers.processes.supervisor import Supervisor, routestream_command
from consumers.retention.settings import RETENTION
from consumers.settings import Settings
from consumers.shipped import GROUPS, LIFE_CYCLE, group_named, set_up_groups
from events.errors import EventsError

PROCESSES_MAX = 64

processes_option = click.option(
    "--processes",
    type=click.IntRange(1, PROCESSES_MAX),
    help="Run so many supervised processes; without it, this process does the work itself.",
)


def _take_metrics_port(context: click.Context, _option: click.Parameter, port: int | None) -> None:
    if port is not None:
        deployment = context.ensure_object(Deployment)
        metrics = replace(deployment.settings.metrics, port=port)
        settings = replace(deployment.settings, metrics=metrics)
        context.obj = replace(deployment, settings=settings)


metrics_port_option = click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    expose_value=False,
    callback=_take_metrics_port,
    help="Where to serve /metrics, /livez and /readyz, before the settings; 0: any free port.",
)


def _group_lines() -> str:
    """Return the groups for the help, one a line, each with its section of the settings."""
    widest = max(map(len, GROUPS))
    lines = (
        f"  {name:{widest}}  {group.about}"
        + (f" (settings: {group.section})" if group.section else "")
        for name, group in GROUPS.items()
    )
    return "\b\nGroups:\n" + "\n".join(lines)


supervised_option = click.option(
    "--supervised",
    type=click.IntRange(1, COUNT_MAX),
    hidden=True,
    help="How many processes the supervisor keeps; what it gives to those that it starts.",
)


@click.command(epilog=_group_lines())
@click.argument("group", required=False)
@click.option("--all", "every_group", is_flag=True, help="Run every group that is set up.")
@processes_option
@click.option("--consumer", help="The consumer's name; a new one unless given.")
@metrics_port_option
@supervised_option
@command_of
async def consume(
    deployment: Deployment,
    *,
    group: str | None,
    every_group: bool,
    processes: int | None,
    consumer: str | None,
    supervised: int | None,
) -> None:
    """Run the consumers of a group until a signal stops them.

    The first SIGTERM or SIGINT lets them finish what is in flight, a second one does not wait.
    GROUP is a group's name, or that of the projection that it folds. It may also be `life-cycle`,
    which records what routes have waited for too long (settings: life_cycle); or `retention`,
    which trims the log; --all runs that only where the setting
    retention.keep_s says how many seconds of the log are kept.

    \b
    Example: routestream consume route-table --processes 2
    """
    if (group is None) != every_group:
        raise click.UsageError("give either GROUP or --all")
    settings = deployment.settings
    names = groups_to_run(group, settings)
    if processes is None and not every_group:
        async with deployment.open_log(create=True) as log:
            name = consumer or new_consumer_name()
            if group == RETENTION:
                run = partial(run_retention, settings=settings.retention, name=name)
            elif group == LIFE_CYCLE:
                run = partial(run_life_cycle, settings=settings, name=name)
            else:
                named = GROUPS[names[0]]
                run = partial(run_group, group=named, consumer=name, settings=settings)
            await run_where_it_is(log, partial(run, supervised=supervised))
        return
    if consumer is not None:
        raise click.UsageError("--consumer names one process; it does not go with several")
    members = {
        f"{name}-{slot}": (name, kept_consumer_name(slot))
        for name in names
        for slot in range(processes or 1)
    }
    commands = {
        process: ("consume", name, "--consumer", consumer)
        for process, (name, consumer) in members.items()
    }

    async def tell(process: str) -> None:
        name, consumer = members[process]
        if name in GROUPS:
            with suppress(EventsError):  # the others find it out by themselves, later
                async with deployment.open_log() as log:
                    await tell_of_death(log, GROUPS[name], consumer, settings)

    await supervise(deployment, commands, processes or 1, on_death=tell)


def groups_to_run(group: str | None, settings: Settings) -> list[str]:
    """Return what to run: *group*, or all that is set up, with the life-cycle and the retention.

    Raises:
        UnknownGroupError: There is no such group.
        MissingSettingError: A setting that the group needs is missing.
    """
    retention = settings.retention
    if group is None:
        kept = [] if retention.keep_s is None else [RETENTION]
        return [*set_up_groups(settings), LIFE_CYCLE, *kept]
    if group == LIFE_CYCLE:
        return [LIFE_CYCLE]
    if group == RETENTION:
        _ = retention.rule  # raises where it is not set
        return [RETENTION]
    named = group_named(group)
    named.check(settings)
    return [named.name]


@click.group()
def checkers() -> None:
    """Run the health checkers."""


@checkers.command("run")
@processes_option
@metrics_port_option
@supervised_option
@command_of
async def run_checkers(
    deployment: Deployment, *, processes: int | None, supervised: int | None
) -> None:
    """Probe the routes of all endpoints that have a health check, and record what changes.

    The living checkers share the endpoints among them.

    \b
    Example: routestream checkers run --processes 2
    """
    settings = deployment.settings
    if processes is not None:
        commands = {f"checker-{slot}": ("checkers", "run") for slot in range(processes)}
        await supervise(deployment, commands, processes)
        return
    async with deployment.open_log(create=True) as log:
        await run_where_it_is(log, partial(run_checker, settings=settings, supervised=supervised))


async def supervise(
    deployment: Deployment,
    commands: Mapping[str, Sequence[str]],
    wanted: int,
    *,
    on_death: Callable[[str], Awaitable[None]] | None = None,
) -> None:
    """Check the server, then run *commands* as supervised processes, *wanted* of each group.

    *on_death* is called with the name of each that ends unasked.
    """
    metrics = deployment.settings.metrics
    async with deployment.open_log(create=True) as log:
        await warn_of_weaknesses(log.server)
    warn_of_broken_plugins()
    supervisor = Supervisor(
        {
            name: routestream_command(
                *(*arguments, "--metrics-port", str(metrics.port_of(slot))),
                *("--supervised", str(wanted)),
            )
            for slot, (name, arguments) in enumerate(commands.items())
        },
        hung_s=metrics.vitals.hung_s,
        on_death=on_death,
    )
    async with exposition(ExposedSupervisor(supervisor), metrics):
        await supervisor.run()
