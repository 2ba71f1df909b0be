"""The command that runs publishers."""

from functools import partial

import click

from consumers.cli.consume import metrics_port_option, supervise, supervised_option
from consumers.cli.deployment import Deployment, command_of
from consumers.processes.moved_log import run_where_it_is
from consumers.processes.publisher_process import run_publisher
from consumers.publishers.catalogue import PUBLISHERS, publisher_named, set_up_publishers


def _publisher_lines() -> str:
    """Return the publishers for the help, one a line, each with its section of the settings."""
    widest = max(map(len, PUBLISHERS), default=0)
    lines = (
        f"  {name:{widest}}  {one.about}" + (f" (settings: {one.section})" if one.section else "")
        for name, one in PUBLISHERS.items()
    )
    return "\b\nPublishers:\n" + "\n".join(lines)


@click.command(epilog=_publisher_lines())
@click.argument("publisher", required=False)
@click.option("--all", "every_one", is_flag=True, help="Run every publisher that is set up.")
@click.option(
    "--supervise", "is_supervisor", is_flag=True, help="Restart the process whenever it ends."
)
@metrics_port_option
@supervised_option
@command_of
async def publish(
    deployment: Deployment,
    *,
    publisher: str | None,
    every_one: bool,
    is_supervisor: bool,
    supervised: int | None,
) -> None:
    """Keep proxies equal to the route table until a signal stops it.

    When it ends, the proxies keep what they have. The same publisher may run more than once.
    `routestream proxies ls` shows what each proxy has acknowledged.

    \b
    Example: routestream publish --all
    """
    if (publisher is None) != every_one:
        raise click.UsageError("give either PUBLISHER or --all")
    settings = deployment.settings
    if publisher is None:
        names = set_up_publishers(settings)
        if not names:
            raise click.UsageError("no publisher is set up; docs/publishers.md says how")
    else:
        one = publisher_named(publisher)
        one.check(settings)
        names = [one.name]
    if every_one or is_supervisor:
        await supervise(deployment, {f"publish-{name}": ("publish", name) for name in names}, 1)
        return
    async with deployment.open_log(create=True) as log:
        run = partial(
            run_publisher,
            publisher=PUBLISHERS[names[0]],
            settings=settings,
            supervised=supervised,
        )
        await run_where_it_is(log, run)
