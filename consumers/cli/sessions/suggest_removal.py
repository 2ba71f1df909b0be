"""The command that lists which routes a scale-down removes first."""

from uuid import UUID

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.at_position import as_of_option, endpoint_at
from consumers.cli.terminal.options import COUNT_MAX
from consumers.cli.terminal.output import (
    OutputForm,
    is_narrow,
    output_option,
    print_rows,
    shown_id,
    watch_option,
)
from consumers.cli.terminal.table import Column
from events.entry.entry_id import START, EntryId
from producers.life_cycle.removal import suggest_removal


class RemovalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One route that may be removed, in its turn."""

    route_id: UUID
    session_id: UUID | None
    phase: str
    why: str
    started_at: EntryId | None


@click.command("suggest-removal")
@click.argument("endpoint")
@click.argument("count", type=click.IntRange(0, COUNT_MAX))
@as_of_option
@output_option
@watch_option
@command_of
async def suggest(
    deployment: Deployment, *, endpoint: str, count: int, position: str | None, output: OutputForm
) -> None:
    """List the routes that a scale-down by COUNT removes first: it records nothing.

    Routes that failed go first, then unhealthy ones, those that are still starting, and healthy
    ones; among equals the newest. A route that is leaving already is not listed.

    \b
    Example: routestream routes suggest-removal chat 2
    """
    async with deployment.open_log() as log:
        _, state, _ = await endpoint_at(deployment, log, endpoint, position)
    rows = [
        RemovalRow(
            route_id=one.route.route_id,
            session_id=one.route.session_id,
            phase=one.phase,
            why=one.why,
            started_at=one.route.started_at if one.route.started_at > START else None,
        )
        for one in suggest_removal(state, count)
    ]
    wide = not is_narrow(output)
    columns = (
        Column[RemovalRow]("ROUTE", lambda row: shown_id(row.route_id, wide=wide)),
        Column[RemovalRow](
            "SESSION", lambda row: row.session_id and shown_id(row.session_id, wide=wide)
        ),
        Column[RemovalRow]("PHASE", lambda row: row.phase.replace("_", " ")),
        Column[RemovalRow]("WHY", lambda row: row.why),
    )
    print_rows(output, RemovalRow, rows, columns, nothing="no route to remove")
