"""The commands that show what is routed where; those that record facts join them."""

import click

from events.age import now_of
from events.terminal import (
    Deployment,
    OutputForm,
    command_of,
    output_option,
    print_pairs,
    print_rows,
    print_value,
    watch_option,
    watched,
)
from projections.endpoint_lookup import live_endpoints, read_endpoint
from projections.endpoint_table import (
    ENDPOINT_COLUMNS,
    ROUTE_COLUMNS,
    endpoint_pairs,
    endpoint_row,
    notes,
    route_rows,
)
from projections.errors import NoLiveGenerationError
from projections.printed_endpoint import as_json


@click.group()
def endpoints() -> None:
    """Look at endpoints and their routes, and record what happens to them."""


@endpoints.command("ls")
@click.option("--all", "destroyed_too", is_flag=True, help="The destroyed ones, too.")
@output_option
@watch_option
@command_of
async def list_endpoints(
    deployment: Deployment, *, destroyed_too: bool, output: OutputForm, watch: float | None
) -> None:
    """List the endpoints: how many of their routes get traffic, and in which shares.

    \b
    Example: routestream endpoints ls --watch 2
    """
    async with deployment.open_log() as log:

        async def show_all() -> None:
            shown = [
                (revision, endpoint)
                async for revision, endpoint in live_endpoints(log)
                if destroyed_too or not endpoint.is_destroyed
            ]
            shown.sort(key=lambda one: one[1].endpoint_id.int)
            now = await now_of(log.server)
            rows = (endpoint_row(endpoint, now) for _, endpoint in shown)
            values = (as_json(revision, endpoint) for revision, endpoint in shown)
            print_rows(output, ENDPOINT_COLUMNS, rows, values, nothing="no endpoints")

        await watched(watch, show_all, (NoLiveGenerationError,))


@endpoints.command()
@click.argument("endpoint")
@output_option
@watch_option
@command_of
async def show(
    deployment: Deployment, *, endpoint: str, output: OutputForm, watch: float | None
) -> None:
    """Show one endpoint: its routes, which of them get traffic, since when, and why.

    ENDPOINT is its id, the beginning of it (4 characters or more), or its name. WEIGHT is the
    route's share of the traffic, or its ratio in brackets where it gets none. BY is the entry of
    the event that last decided about its traffic; `routestream events show` shows that.

    \b
    Example: routestream endpoints show chat --watch 2
    """
    async with deployment.open_log() as log:

        async def show_it() -> None:
            revision, state = await read_endpoint(log, endpoint)
            if output != "table":
                print_value(output, as_json(revision, state))
                return
            now = await now_of(log.server)
            print_pairs(endpoint_pairs(revision, state, now))
            if state.present_routes:
                click.echo()
                print_rows(output, ROUTE_COLUMNS, route_rows(state, now), ())
            elif not state.is_destroyed:
                click.echo("no routes", err=True)
            remarks = list(notes(state))
            if remarks:
                click.echo()
            for remark in remarks:
                click.echo(remark)

        await watched(watch, show_it, (NoLiveGenerationError,))
