"""The command that searches entries for a text."""

from contextlib import aclosing

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.events.selection import (
    Asked,
    SelectedRange,
    open_selection,
    selected_entries,
    selection_options,
)
from consumers.cli.events.text_search import TextSearch
from consumers.cli.terminal.entry_list import print_entries
from consumers.cli.terminal.messages import EXIT_FAILED
from consumers.cli.terminal.options import COUNT_MAX, SpanCommand
from consumers.cli.terminal.output import OutputForm, output_option, watch_option
from events.entry.position import parse_range
from events.entry.recorded import Entry
from events.server.server import now_of

FOUND_COUNT = 100


@click.command(cls=SpanCommand)
@click.argument("pattern")
@click.argument("span", metavar="[A..B]", required=False)
@click.option("-E", "--regex", is_flag=True, help="PATTERN is a regular expression.")
@click.option("-i", "--ignore-case", is_flag=True, help="Capital and small letters are the same.")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, COUNT_MAX),
    default=FOUND_COUNT,
    show_default=True,
    help="How many of the newest; with A..B of the first.",
)
@selection_options
@output_option
@watch_option
@command_of
async def grep(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    asked: Asked,
    pattern: str,
    span: str | None,
    regex: bool,
    ignore_case: bool,
    count: int,
    output: OutputForm,
) -> None:
    """Look for a text in the names and values of the entries' fields.

    Without A..B the newest 50,000 entries of each partition are looked through; with it all between
    these two positions. Exit code 1 says that nothing was found.

    \b
    Example: routestream events grep 'CUDA out of memory'
    Example: routestream events grep -E 'timed? out' -1h.. --type route_failed
    """
    search = TextSearch.parse(pattern, is_regex=regex, ignores_case=ignore_case)
    async with open_selection(deployment, asked) as selection:
        extent = SelectedRange(count)
        if span is not None:
            extent = SelectedRange(count, *parse_range(span, await now_of(selection.log.server)))

        def wanted(entry: Entry) -> bool:
            return selection.wanted.wants(entry) and search.finds(entry)

        async with aclosing(selected_entries(selection, extent, wanted)) as entries:
            found = await print_entries(output, selection.reading, entries, count)
    if not found:
        raise click.exceptions.Exit(EXIT_FAILED)
