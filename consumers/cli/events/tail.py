"""The commands that show events."""

from contextlib import aclosing

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.events.grep import grep
from consumers.cli.events.selection import (
    Asked,
    SelectedRange,
    open_selection,
    selected_entries,
    selection_options,
)
from consumers.cli.events.show import show
from consumers.cli.events.stats import stats
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.entry_list import print_entries
from consumers.cli.terminal.options import COUNT_MAX, SpanCommand
from consumers.cli.terminal.output import OutputForm, output_option, watch_option
from events.entry.position import parse_position, parse_range
from events.server.server import now_of

TAIL_COUNT = 10


@click.group(cls=CommandGroup)
def events() -> None:
    """Look at the events of the log."""


for _command in (show, stats, grep):
    events.add_command(_command)


@events.command()
@click.option(
    "-n",
    "--count",
    type=click.IntRange(0, COUNT_MAX),
    help=f"How many of the newest entries ({TAIL_COUNT} unless given); with --from the first ones.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option(
    "--from",
    "position",
    metavar="POSITION",
    help="Begin here: start, end, an entry id, an RFC 3339 time, or a span such as -2h.",
)
@selection_options
@output_option
@watch_option
@command_of
async def tail(
    deployment: Deployment,
    *,
    asked: Asked,
    count: int | None,
    follow: bool,
    position: str | None,
    output: OutputForm,
) -> None:
    """Show the newest events, and with -f those to come.

    \b
    Example: routestream events tail -f --type 'route_*' --endpoint 7ccd26ec
    Example: routestream events tail --where 'payload.new_status == "unhealthy"' -n 5
    Example: routestream events tail --stream events -o json
    """
    if follow and click.get_current_context().params["watch"] is not None:
        raise click.UsageError("-f goes on by itself; --watch does not go with it")
    if follow and output is OutputForm.JSON:
        raise click.UsageError("-o json prints one list, which has no end with -f; use -o jsonl")
    async with open_selection(deployment, asked) as selection:
        now = await now_of(selection.log.server)
        start = None if position is None else parse_position(position, now)
        shown = TAIL_COUNT if count is None and start is None else count
        extent = SelectedRange(shown, start, follow=follow)
        wanted = selection.wanted.wants if selection.wanted else None
        async with aclosing(selected_entries(selection, extent, wanted)) as entries:
            limit = None if start is None else shown
            await print_entries(output, selection.reading, entries, limit)


@events.command("range", cls=SpanCommand)
@click.argument("span", metavar="A..B")
@click.option(
    "-n", "--count", type=click.IntRange(1, COUNT_MAX), help="No more than the first so many."
)
@selection_options
@output_option
@watch_option
@command_of
async def show_range(
    deployment: Deployment, *, asked: Asked, span: str, count: int | None, output: OutputForm
) -> None:
    """Show the events between two positions, both included, oldest first.

    Either end may be missing: A.. goes on to the end, ..B begins at the start. A position is
    start, end, an entry id, an RFC 3339 time, or a span such as -2h.

    \b
    Example: routestream events range -1h..-30m --endpoint 7ccd26ec
    Example: routestream events range 2026-01-31T22:00:00Z.. -n 100
    """
    async with open_selection(deployment, asked) as selection:
        start, end = parse_range(span, await now_of(selection.log.server))
        wanted = selection.wanted.wants if selection.wanted else None
        extent = SelectedRange(count, start, end)
        async with aclosing(selected_entries(selection, extent, wanted)) as entries:
            await print_entries(output, selection.reading, entries, count)
