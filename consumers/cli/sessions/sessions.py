"""The commands that record what has become of a session, and so of its routes."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.confirmed_append import confirm_and_append
from consumers.cli.endpoints.named_endpoint import endpoint_id_of, say_left_out
from consumers.cli.endpoints.route_input import split_address
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.output import NotFoundError, yes_option
from producers.life_cycle.session_effects import (
    SessionChange,
    routes_of_session,
    session_changed,
)
from projections.route_table.endpoint import Endpoint
from projections.route_table.lookup import find_session

DRAIN_S_MAX = 86_400

Command = Callable[..., Any]

endpoint_option = click.option(
    "--endpoint",
    help="The endpoint that has the session's route; without it the read model says which has.",
)
reason_option = click.option("--reason", help="Why; shown beside the route.")
drain_time_option = click.option(
    "--drain-time",
    "drain_s",
    type=click.FloatRange(0, DRAIN_S_MAX),
    metavar="SECONDS",
    help="Time for requests in flight; without it the setting life_cycle.draining_s.",
)


@click.group(cls=CommandGroup)
def sessions() -> None:
    """Record what has become of compute sessions, and so of their routes."""


@sessions.command("running")
@click.argument("session", type=click.UUID)
@click.option(
    "--address", metavar="HOST:PORT", help="Where it serves, if its route does not say so yet."
)
@endpoint_option
@yes_option
@command_of
async def running(
    deployment: Deployment,
    *,
    session: UUID,
    address: str | None,
    endpoint: str | None,
    yes: bool,
) -> None:
    """Record that a session runs: its route has started.

    \b
    Example: routestream sessions running 8f14e45f-ceea-467f-9a3f-3f1a2b3c4d5e --yes
    """
    at = None if address is None else split_address(address)
    await _record(deployment, session, SessionChange(status="running", address=at), endpoint, yes)


@sessions.command("terminating")
@click.argument("session", type=click.UUID)
@reason_option
@drain_time_option
@endpoint_option
@yes_option
@command_of
async def terminating(
    deployment: Deployment,
    *,
    session: UUID,
    reason: str | None,
    drain_s: float | None,
    endpoint: str | None,
    yes: bool,
) -> None:
    """Record that a session terminates: its route gets no new traffic at once, and drains.

    \b
    Example: routestream sessions terminating 8f14e45f-ceea-467f-9a3f-3f1a2b3c4d5e --yes
    """
    change = SessionChange(status="terminating", reason=reason, drain_s=drain_s)
    await _record(deployment, session, change, endpoint, yes)


@sessions.command("terminated")
@click.argument("session", type=click.UUID)
@reason_option
@endpoint_option
@yes_option
@command_of
async def terminated(
    deployment: Deployment, *, session: UUID, reason: str | None, endpoint: str | None, yes: bool
) -> None:
    """Record that a session is gone, terminating before or not: its route leaves the table.

    \b
    Example: routestream sessions terminated 8f14e45f-ceea-467f-9a3f-3f1a2b3c4d5e --yes
    """
    change = SessionChange(status="terminated", reason=reason)
    await _record(deployment, session, change, endpoint, yes)


@sessions.command("cancelled")
@click.argument("session", type=click.UUID)
@click.option("--error", "errors", multiple=True, help="What went wrong; up to 32 of them.")
@endpoint_option
@yes_option
@command_of
async def cancelled(
    deployment: Deployment,
    *,
    session: UUID,
    errors: tuple[str, ...],
    endpoint: str | None,
    yes: bool,
) -> None:
    """Record that a session was cancelled: its route has failed, which counts as a retry.

    \b
    Example: routestream sessions cancelled 8f14e45f-ceea-467f-9a3f-3f1a2b3c4d5e --yes
    """
    change = SessionChange(status="cancelled", errors=errors)
    await _record(deployment, session, change, endpoint, yes)


async def _record(
    deployment: Deployment,
    session: UUID,
    change: SessionChange,
    endpoint: str | None,
    yes: bool,  # noqa: FBT001 - an option
) -> None:
    async with deployment.open_log(create=True) as log:
        if endpoint is None:
            endpoint_id = await find_session(log, session, say_left_out)
        else:
            endpoint_id = await endpoint_id_of(log, endpoint)

    def decide(state: Endpoint) -> tuple[Any, ...]:
        if not routes_of_session(state, session):
            raise NotFoundError(f"endpoint {endpoint_id} has no route in session {session}")
        return session_changed(state, session, change)

    await confirm_and_append(deployment, endpoint_id, decide, yes=yes)
