"""The commands that show endpoints; their group also holds those that record facts."""

from collections.abc import AsyncIterator

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.at_position import as_of_option, endpoint_at, endpoints_at
from consumers.cli.endpoints.endpoint_row import (
    LiveEndpointRow,
    endpoint_columns,
    live_endpoint_row,
    route_columns,
)
from consumers.cli.endpoints.table import ages_shown, endpoint_pairs, notes, stale_note
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.output import (
    OutputForm,
    is_narrow,
    output_option,
    print_pairs,
    print_row_pages,
    print_table,
    print_value,
    watch_option,
    watched,
)
from events.entry.entry_id import START, EntryId
from events.entry.recorded import entries_of
from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.partitions import ask_each
from events.server.reply import reply_entries
from projections.errors import NoLiveGenerationError
from projections.read_model.knowledge import Knowledge, read_knowledge
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge, RouteKey
from projections.route_table.lookup import shared_names
from projections.route_table.route_table import ROUTE_TABLE
from projections.route_table.traffic import traffic_of

_PAGE_ROWS = 500
"""Endpoints that are printed before the ages of the next ones are read."""

NAMED_MAX = 100
"""Entries that decided about traffic and whose type is looked up, oldest first."""


@click.group(cls=CommandGroup)
def endpoints() -> None:
    """Look at endpoints and their routes, and record what happens to them."""


@endpoints.command("ls")
@click.option("--all", "destroyed_too", is_flag=True, help="The destroyed ones, too.")
@as_of_option
@output_option
@watch_option
@command_of
async def list_endpoints(
    deployment: Deployment,
    *,
    destroyed_too: bool,
    position: str | None,
    output: OutputForm,
    watch: float | None,
) -> None:
    """List the endpoints: how many of their routes get traffic, and in which shares.

    Events that are not folded yet are reported on standard error.

    \b
    Example: routestream endpoints ls --watch 2
    """
    async with deployment.open_log() as log:

        async def show_all() -> None:
            found, now = await endpoints_at(deployment, log, position)
            shown = [one for one in found if destroyed_too or not one[1].is_destroyed]
            shown.sort(key=lambda one: one[1].endpoint_id.int)
            partitions = () if position else range(log.partitions)
            known = await ask_each(partitions, lambda p: _knowledge(log, p))
            ages: dict[RouteKey, HealthAge] = {}

            async def pages() -> AsyncIterator[list[LiveEndpointRow]]:
                for start in range(0, len(shown), _PAGE_ROWS):
                    page = shown[start : start + _PAGE_ROWS]
                    if not position:
                        ages.update(await ages_shown(log, (one for _, one in page), now))
                    yield [
                        live_endpoint_row(
                            revision, endpoint, known.get(_partition(log, endpoint)), now, ages
                        )
                        for revision, endpoint in page
                    ]

            columns = endpoint_columns(now, narrow=is_narrow(output))
            await print_row_pages(output, LiveEndpointRow, pages(), columns, nothing="no endpoints")
            if note := stale_note(ages.values()):
                say(note)
            for note in shared_names(endpoint for _, endpoint in shown):
                say(note)
            for knowledge in known.values():
                if knowledge.behind_s(now) and shown:
                    words = knowledge.in_words(now)
                    say(f"knowledge of partition {knowledge.partition}: {words}")

        await watched(watch, show_all, (NoLiveGenerationError,))


@endpoints.command()
@click.argument("endpoint")
@as_of_option
@output_option
@watch_option
@command_of
async def show(
    deployment: Deployment,
    *,
    endpoint: str,
    position: str | None,
    output: OutputForm,
    watch: float | None,
) -> None:
    """Show one endpoint: its routes, which of them get traffic, since when, and why.

    ENDPOINT is its id, the beginning of it (4 characters or more), or its name. WEIGHT is the
    route's share of the traffic, or its ratio in brackets where it gets none. BY is the
    event that last decided about its traffic; `routestream events show` shows that. CHECKED is how
    long ago somebody last looked at the route's health; health at which nobody has looked for 120
    seconds, or 3 intervals of the health check if that is longer, is stale. KNOWLEDGE says how far
    the log has been folded into what is shown.

    \b
    Example: routestream endpoints show chat --watch 2
    """
    async with deployment.open_log() as log:

        async def show_it() -> None:
            revision, state, now = await endpoint_at(deployment, log, endpoint, position)
            known = None if position else await _knowledge(log, _partition(log, state))
            ages = await ages_shown(log, () if position else (state,), now)
            row = live_endpoint_row(revision, state, known, now, ages)
            if not output.is_table:
                print_value(output, row, LiveEndpointRow)
                return
            names = await _names_of(log, state)
            pairs = endpoint_pairs(revision, state, now)
            if known is not None:
                pairs.append(("knowledge", known.in_words(now)))
            print_pairs(output, pairs)
            if row.routes:
                click.echo()
                columns = route_columns(now, names, row.routes, narrow=is_narrow(output))
                print_table(output, columns, row.routes)
            elif not state.is_destroyed:
                say("no routes")
            remarks = list(notes(state, wide=output.is_wide))
            if note := stale_note(ages.values()):
                remarks.append(note)
            if remarks:
                click.echo()
            for remark in remarks:
                click.echo(remark)

        await watched(watch, show_it, (NoLiveGenerationError,))


def _partition(log: EventLog, endpoint: Endpoint) -> int:
    return partition_of(endpoint.endpoint_id, log.partitions)


async def _knowledge(log: EventLog, partition: int) -> Knowledge:
    call = log.server.client.call
    return await read_knowledge(call, log.keys, ROUTE_TABLE.read_model, partition)


async def _names_of(log: EventLog, endpoint: Endpoint) -> dict[EntryId, str]:
    """Return the types of the events that decided about its routes, if the log still has them."""
    decided = {one.decided_at for one in traffic_of(endpoint).values() if one.decided_at > START}
    stream = log.keys.events(_partition(log, endpoint))
    names = {}
    for entry_id in sorted(decided)[:NAMED_MAX]:
        raw = await log.server.client.call("XRANGE", stream, str(entry_id), str(entry_id))
        for entry in entries_of(reply_entries(raw), 0):
            names[entry_id] = Line.of(entry).name
    return names
