"""The commands that show the health of routes and its history."""

import sys
from collections.abc import Mapping, Sequence

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.named_endpoint import live_endpoint, say_left_out
from consumers.cli.endpoints.table import ages_shown, health_check_in_words, stale_note
from consumers.cli.health.health_strip import Cell, cells_of, legend
from consumers.cli.health.table import (
    HealthRow,
    axis,
    cells_shown,
    endpoint_cells,
    endpoint_health_columns,
    health_row,
    per_cent,
    route_health_columns,
)
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import COUNT_MAX
from consumers.cli.terminal.output import (
    OutputForm,
    is_narrow,
    output_option,
    print_pairs,
    print_rich,
    print_rows,
    print_table,
    print_value,
    shown_id,
    watch_option,
    watched,
)
from events.entry.entry_id import EntryId
from events.entry.position import parse_position
from events.history.history import History
from events.history.history_window import WINDOW_ENTRIES_MAX
from events.log.log import EventLog
from events.server.server import now_of
from projections.errors import NoLiveGenerationError
from projections.health_state.health_list import HealthList, read_health_list
from projections.health_state.health_state import HEALTH_STATE
from projections.health_state.health_window import HealthWindow, read_health
from projections.health_state.history import Span
from projections.read_model.missing_generation import no_live_generation
from projections.route_table.endpoint import Endpoint
from projections.route_table.health_age import HealthAge, RouteKey
from projections.route_table.lookup import live_endpoints

LIST_LIMIT = 500
"""Endpoints that are listed by default; a whole history is computed for each."""

from_option = click.option(
    "--from",
    "since",
    default="-1h",
    show_default=True,
    metavar="POSITION",
    help="Where the window begins: start, an entry id, an RFC 3339 time, or a span such as -2h.",
)


@click.group()
def health() -> None:
    """Look at the health of routes, as it was and as it is."""


@health.command("ls")
@from_option
@click.option(
    "-n",
    "--count",
    "limit",
    type=click.IntRange(1, COUNT_MAX),
    default=LIST_LIMIT,
    show_default=True,
    help="How many, by their ids.",
)
@output_option
@watch_option
@command_of
async def list_health(
    deployment: Deployment, *, since: str, limit: int, output: OutputForm, watch: float | None
) -> None:
    """List the endpoints: how much of the time their routes were healthy, and how it changed.

    HEALTHY is the mean over the routes: for each, the healthy share of the time in which it was
    there. HISTORY shows the window from left to right. Both come from the health state, which keeps
    the newest 32 changes of each route and its newest start; `health show` reads the log itself.

    \b
    Example: routestream health ls --from -2h
    """
    async with deployment.open_log() as log:

        async def show_all() -> None:
            found_endpoints = live_endpoints(log, say_left_out)
            endpoints = [one async for _, one in found_endpoints if not one.is_destroyed]
            endpoints.sort(key=lambda endpoint: endpoint.endpoint_id.int)
            chosen = endpoints[:limit]
            found = await read_health_list(log, chosen, *await _window_of(log, since))
            listed = [endpoint for endpoint in chosen if endpoint.endpoint_id in found.routes]
            ages = await ages_shown(log, listed, await now_of(log.server))
            _say_what_lacks(found)
            if note := stale_note(ages.values()):
                say(note)
            if left_out := len(endpoints) - len(chosen):
                say(f"{left_out} more endpoints: -n says how many are listed")
            narrow, unicode = is_narrow(output), speaks_unicode()
            rows = [
                _listed_row(endpoint, found, ages, narrow=narrow if output.is_table else None)
                for endpoint in listed
            ]
            columns = endpoint_health_columns(narrow=narrow, unicode=unicode)
            print_rows(output, HealthRow, rows, columns, nothing="no endpoints")
            if output.is_table and rows:
                cells = [cell for row in rows for cell in row.cells]
                _print_legend(output, found.window, cells, unicode=unicode)

        await watched(watch, show_all, (NoLiveGenerationError,))


def _listed_row(
    endpoint: Endpoint,
    found: HealthList,
    ages: Mapping[RouteKey, HealthAge],
    *,
    narrow: bool | None,
) -> HealthRow:
    """Return the row of an endpoint; *narrow* sets the length of its strip, None: no strip."""
    histories, window = found.routes[endpoint.endpoint_id], found.window
    cells = [] if narrow is None else endpoint_cells(histories, window, narrow=narrow)
    is_whole = endpoint.endpoint_id not in found.cut
    return health_row(endpoint, histories, window, is_whole=is_whole, ages=ages, cells=cells)


def _say_what_lacks(found: HealthList) -> None:
    for partition in found.left_out:
        say(f"partition {partition} is left out: its health state is not live")
    if found.cut:
        plural = "s" if len(found.cut) > 1 else ""
        say(
            f"{len(found.cut)} endpoint{plural} changed more often in the window than the health"
            " state keeps; `routestream health show` reads the log"
        )


@health.command()
@click.argument("endpoint")
@from_option
@output_option
@watch_option
@command_of
async def show(
    deployment: Deployment, *, endpoint: str, since: str, output: OutputForm, watch: float | None
) -> None:
    """Show the health of an endpoint's routes over a window of time, each as a strip.

    ENDPOINT is its id, the beginning of it (4 characters or more), or its name. A block of the
    strip shows the worst that happened in its part of the time. BY is the entry that began what
    is now; `routestream events show` shows that. CHECKED is how long ago somebody last looked.

    \b
    Example: routestream health show chat --from -2h
    """
    async with deployment.open_history() as history:

        async def show_it() -> None:
            _, state = await live_endpoint(history.log, endpoint)
            found = await _read(history, state, since)
            ages = await ages_shown(history.log, [state], await now_of(history.log.server))
            row = health_row(state, found.routes, found.window, is_whole=found.is_whole, ages=ages)
            if note := stale_note(ages.values()):
                say(note)
            if output.is_table:
                _print_endpoint(output, row, state, found)
            else:
                print_value(output, row)

        await watched(watch, show_it, (NoLiveGenerationError,))


def _print_endpoint(
    output: OutputForm, row: HealthRow, endpoint: Endpoint, found: HealthWindow
) -> None:
    histories, wide = found.routes, output.is_wide
    check = health_check_in_words(endpoint.health_check)
    print_pairs(
        output,
        [
            (
                "endpoint",
                f"{shown_id(endpoint.endpoint_id, wide=wide)} {endpoint.name or ''}".rstrip(),
            ),
            ("health check", check),
            ("healthy", per_cent(row.healthy_share) or None),
            ("window", axis(found.window)),
        ],
    )
    if not histories:
        say("no routes")
        return
    click.echo()
    narrow, unicode = is_narrow(output), speaks_unicode()
    columns = route_health_columns(row, found.window, narrow=narrow, unicode=unicode)
    print_table(output, columns, row.routes)
    count = cells_shown(narrow=narrow)
    cells = [c for h in histories for c in cells_of(h.intervals, found.window, count)]
    click.echo()
    _print_legend(output, found.window, cells, unicode=unicode)


async def _window_of(log: EventLog, since: str) -> tuple[EntryId, int]:
    """Return the start of the window, and its end: now, in milliseconds."""
    now = await now_of(log.server)
    now_ms = int(now.timestamp() * 1_000)
    start = parse_position(since, now)
    if start > EntryId(now_ms, 0):
        raise click.UsageError(f"--from {since!r} is not before now")
    return start, now_ms


async def _read(history: History, endpoint: Endpoint, since: str) -> HealthWindow:
    found = await read_health(history, endpoint, *await _window_of(history.log, since))
    if not found.is_whole:
        say(
            f"the window begins later than --from: {WINDOW_ENTRIES_MAX} entries were looked through"
        )
    if not found.is_kept:
        call, partitions = history.server.client.call, range(history.partitions)
        cause = await no_live_generation(call, history.keys, HEALTH_STATE, partitions)
        say(f"{cause}; what was before the window is not known")
    return found


def _print_legend(
    output: OutputForm, window: Span, cells: Sequence[Cell], *, unicode: bool
) -> None:
    print_rich(output, legend(cells, unicode=unicode).append(f"   {axis(window)}", "dim"))


def speaks_unicode() -> bool:
    """Whether standard output can encode the blocks of a strip."""
    encoding = getattr(sys.stdout, "encoding", None) or getattr(sys.__stdout__, "encoding", None)
    return (encoding or "").lower().replace("-", "") == "utf8"
