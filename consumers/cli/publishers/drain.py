"""The command that takes a route out of service without a failed request."""

import anyio
import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.confirmed_append import confirm_and_append
from consumers.cli.endpoints.route_input import route_id_of
from consumers.cli.terminal.messages import say, say_note
from consumers.cli.terminal.output import yes_option
from consumers.publishers.acknowledgement import until_acknowledged
from consumers.publishers.proxy_ledger import read_proxies
from events.entry.entry_id import EntryId
from events.log.keys import partition_of
from producers.endpoints import decisions
from producers.endpoints.decisions import Decision
from producers.endpoints.endpoint_service import EndpointService
from projections.route_table.endpoint import Endpoint

_SECONDS_MAX = 86_400


@click.command()
@click.argument("endpoint")
@click.argument("route")
@click.option("--reason", required=True, help="Why; shown beside the route.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, _SECONDS_MAX),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for the proxies.",
)
@click.option(
    "--drain-time",
    "drain_s",
    type=click.FloatRange(0, _SECONDS_MAX),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Leave running requests so long, once all proxies have acknowledged.",
)
@yes_option
@command_of
async def drain(  # noqa: PLR0913 - one for each option
    deployment: Deployment,
    *,
    endpoint: str,
    route: str,
    reason: str,
    timeout_s: float,
    drain_s: float,
    yes: bool,
) -> None:
    """Give a route no new traffic, wait for the proxies and for its requests, then terminate it.

    The route is switched off first. When every proxy of `proxies ls` has acknowledged that, or the
    time is up, which is said, running requests have the drain time; then the route is terminated.

    \b
    Example: routestream routes drain chat 7ccd26ec --reason 'GPU swap' --drain-time 60 --yes
    """

    def decide(state: Endpoint) -> Decision:
        route_id = route_id_of(state, route)
        return decisions.switch_traffic(state, route_id, "inactive", reason=reason)

    recorded = await confirm_and_append(deployment, endpoint, decide, yes=yes)
    before = recorded.before
    switched_at = recorded.entry_ids[-1] if recorded.entry_ids else before.version
    await _until_proxies_know(deployment, before, switched_at, timeout_s)
    say(f"running requests have {drain_s:g} s")
    await anyio.sleep(drain_s)
    async with deployment.open_log(create=True) as log:
        route_id = route_id_of(before, route)
        own, service = before.endpoint_id, EndpointService(log)
        ended = await service.terminate_route(own, route_id, reason=reason, drain_s=0.0)
        over = await service.end_drain(own, route_id, reason=f"{drain_s:g} s without traffic")
    for done in (ended, over):
        for entry_id, event in zip(done.entry_ids, done.decision, strict=True):
            say(f"appended {entry_id} {event.wire_name}")


async def _until_proxies_know(
    deployment: Deployment, endpoint: Endpoint, entry_id: EntryId, timeout_s: float
) -> None:
    """Wait for the proxies, and say which of them have not acknowledged *entry_id* in time."""
    async with deployment.open_log() as log:
        partition = partition_of(endpoint.endpoint_id, log.partitions)
        proxies = await read_proxies(log)
        lacking = await until_acknowledged(log, partition, entry_id, timeout_s)
    if not proxies:
        say_note("no publisher has noted a proxy: nobody can acknowledge")
    elif not lacking:
        say(f"acknowledged by {len(proxies)} of {len(proxies)} proxies")
    for proxy in lacking:
        has = proxy.acknowledged or "nothing"
        say_note(f"not acknowledged within {timeout_s:g} s: {proxy.proxy} has {has}")
