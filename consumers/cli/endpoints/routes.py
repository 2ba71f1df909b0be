"""The commands that record what happens to routes, and their health."""

from typing import BinaryIO, get_args

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.confirmed_append import confirm_and_append
from consumers.cli.endpoints.route_input import (
    INPUT_BYTES_MAX,
    label_option,
    read_labels,
    read_routes,
    route_at,
    route_id_of,
)
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.output import yes_option
from events.catalogue.model_service import ModelServiceStatus
from events.catalogue.route import RouteRecord, TrafficStatus
from producers.endpoints import decisions
from producers.endpoints.decisions import Decision
from projections.route_table.endpoint import Endpoint


@click.group(cls=CommandGroup)
def routes() -> None:
    """Record what happens to the routes of an endpoint."""


@click.group()
def status() -> None:
    """Record the health of routes."""


@routes.command("set")
@click.argument("endpoint")
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--route",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="A running route at this address; may be given several times.",
)
@label_option
@yes_option
@command_of
async def set_routes(
    deployment: Deployment,
    *,
    endpoint: str,
    file: BinaryIO | None,
    addresses: tuple[str, ...],
    given_labels: tuple[str, ...],
    yes: bool,
) -> None:
    """Let an endpoint have exactly these routes, and print their ids.

    FILE is a JSON list of routes (- for standard input), each with at least `route_id`. A route
    given by its address keeps its id where the endpoint has one there already. Labels are those of
    all routes given by their addresses; without any, a route that is there keeps its own. By
    convention their keys are role, zone, revision and model.

    \b
    Example: routestream routes set chat --route 10.0.0.1:8000 --route 10.0.0.2:8000 --yes
    """
    if (file is None) == (not addresses):
        raise click.UsageError("give either FILE or at least one --route HOST:PORT")
    if file is not None and given_labels:
        raise click.UsageError("--label goes with --route; a route in FILE has its own labels")
    labels = read_labels(given_labels)
    listed = read_routes(file.read(INPUT_BYTES_MAX + 1), file.name) if file is not None else None
    chosen: list[RouteRecord] = []

    def decide(state: Endpoint) -> Decision:
        chosen[:] = (
            listed
            if listed is not None
            else [route_at(state, address, labels) for address in addresses]
        )
        return decisions.set_route_list(state, chosen)

    await confirm_and_append(deployment, endpoint, decide, yes=yes)
    for route in chosen:
        click.echo(route.route_id)


@routes.command("ratio")
@click.argument("endpoint")
@click.argument("route")
@click.argument("traffic_ratio", type=float)
@yes_option
@command_of
async def ratio(
    deployment: Deployment, *, endpoint: str, route: str, traffic_ratio: float, yes: bool
) -> None:
    """Give a route a weight from 0 (no traffic) to 1,000,000.

    Its share of the traffic is its weight's part of the sum over all routes that get traffic; where
    the traffic is split between revisions, its part of its revision's share.

    \b
    Example: routestream routes ratio chat 7ccd26ec 0.25 --yes
    """
    await confirm_and_append(
        deployment,
        endpoint,
        lambda state: decisions.set_traffic_ratio(state, route_id_of(state, route), traffic_ratio),
        yes=yes,
    )


@routes.command("disable")
@click.argument("endpoint")
@click.argument("route", required=False)
@click.option("--reason", required=True, help="Why; shown beside the route.")
@yes_option
@command_of
async def disable(
    deployment: Deployment, *, endpoint: str, route: str | None, reason: str, yes: bool
) -> None:
    """Take a route out of the traffic, or the whole endpoint; no weight is forgotten.

    \b
    Example: routestream routes disable chat 7ccd26ec --reason 'GPU swap' --yes
    """
    await _switch(deployment, (endpoint, route), "inactive", reason=reason, yes=yes)


@routes.command("enable")
@click.argument("endpoint")
@click.argument("route", required=False)
@click.option("--reason", help="Why; shown beside the route.")
@yes_option
@command_of
async def enable(
    deployment: Deployment, *, endpoint: str, route: str | None, reason: str | None, yes: bool
) -> None:
    """Let a route take part in the traffic again, or the whole endpoint; each has its old weight.

    \b
    Example: routestream routes enable chat 7ccd26ec --yes
    """
    await _switch(deployment, (endpoint, route), "active", reason=reason, yes=yes)


async def _switch(
    deployment: Deployment,
    place: tuple[str, str | None],
    traffic_status: TrafficStatus,
    *,
    reason: str | None,
    yes: bool,
) -> None:
    endpoint, route = place

    def decide(state: Endpoint) -> Decision:
        route_id = None if route is None else route_id_of(state, route)
        return decisions.switch_traffic(state, route_id, traffic_status, reason=reason)

    await confirm_and_append(deployment, endpoint, decide, yes=yes)


@routes.command("terminate")
@click.argument("endpoint")
@click.argument("route")
@click.option("--reason", help="Why; shown beside the route.")
@click.option(
    "--drain-time",
    "drain_s",
    type=click.FloatRange(0, 86_400),
    metavar="SECONDS",
    help="Time for requests in flight; without it the setting life_cycle.draining_s.",
)
@yes_option
@command_of
async def terminate(
    deployment: Deployment,
    *,
    endpoint: str,
    route: str,
    reason: str | None,
    drain_s: float | None,
    yes: bool,
) -> None:
    """Give a route no new traffic from now on, and let it drain.

    \b
    Example: routestream routes terminate chat 7ccd26ec --yes
    """

    def decide(state: Endpoint) -> Decision:
        route_id = route_id_of(state, route)
        return decisions.terminate_route(state, route_id, reason=reason, drain_s=drain_s)

    await confirm_and_append(deployment, endpoint, decide, yes=yes)


@status.command("record")
@click.argument("endpoint")
@click.argument("route")
@click.argument("new_status", type=click.Choice(get_args(ModelServiceStatus)))
@click.option("--reason", help="Why; shown beside the status.")
@yes_option
@command_of
async def record_status(
    deployment: Deployment,
    *,
    endpoint: str,
    route: str,
    new_status: ModelServiceStatus,
    reason: str | None,
    yes: bool,
) -> None:
    """Record that a route has become healthy or unhealthy.

    \b
    Example: routestream status record chat 7ccd26ec unhealthy --reason 'GPU lost' --yes
    """

    def decide(state: Endpoint) -> Decision:
        route_id = route_id_of(state, route)
        return decisions.record_status(state, route_id, new_status, reason=reason)

    await confirm_and_append(deployment, endpoint, decide, yes=yes)
