"""The command that says how many routes of an endpoint are wanted."""

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.confirmed_append import confirm_and_append
from consumers.cli.terminal.output import yes_option
from events.catalogue.route import ROUTES_MAX
from producers.life_cycle.route_end import set_replicas


@click.command("replicas")
@click.argument("endpoint")
@click.argument("replicas", type=click.IntRange(0, ROUTES_MAX))
@yes_option
@command_of
async def set_wanted(deployment: Deployment, *, endpoint: str, replicas: int, yes: bool) -> None:
    """Say how many routes of an endpoint are wanted, 0 to 1,000.

    It starts and ends none. The endpoint is ready once so many of its routes serve, and the count
    of starts that have failed begins anew then.

    \b
    Example: routestream endpoints replicas chat 3 --yes
    """
    await confirm_and_append(
        deployment, endpoint, lambda state: set_replicas(state, replicas), yes=yes
    )
