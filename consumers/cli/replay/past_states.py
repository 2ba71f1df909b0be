"""The commands that show a projection's past state, and what changed between two moments."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of, snapshots_of, source_of
from consumers.cli.endpoints.at_position import moment_of
from consumers.cli.endpoints.endpoint_row import EndpointRow, endpoint_columns, endpoint_row
from consumers.cli.endpoints.mismatches import names_of_events
from consumers.cli.endpoints.register_changes import ChangeRow, change_rows, in_words
from consumers.cli.terminal.options import partitions_of, projection_option
from consumers.cli.terminal.output import (
    OutputForm,
    is_narrow,
    output_option,
    print_rows,
    print_table,
    shown_id,
    watch_option,
)
from consumers.cli.terminal.output_form import print_values
from consumers.cli.terminal.table import Column, Columns
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_between, parse_position
from events.log.log import EventLog
from events.server.server import now_of
from projections.catalogue import PROJECTIONS
from projections.projection import Projection
from projections.replay.partition_history import Source
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.as_of import EndpointChange, as_of, changes_between

_POSITION = "start, end, an entry id, an RFC 3339 time, or a span such as -2h"


class ChangedRow(msgspec.Struct, frozen=True):
    """One endpoint that changed."""

    endpoint_id: UUID
    changes: list[ChangeRow]


class _ChangeLine(msgspec.Struct, frozen=True):
    """One change of an endpoint in words, the entry that made it, and the type of its event."""

    endpoint_id: UUID
    words: str
    at: EntryId
    event: str | None


_KEYS = frozenset({"revision", "endpoint_id", "version"})


@click.command()
@projection_option
@click.option("--as-of", "position", required=True, metavar="POSITION", help=f"{_POSITION}.")
@output_option
@watch_option
@command_of
async def show(
    deployment: Deployment, *, projection: str, position: str, output: OutputForm
) -> None:
    """Show a whole projection as it was after all up to POSITION had happened.

    \b
    Example: routestream replay show --as-of 2026-01-31T22:00:00Z
    """
    chosen = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        now = await now_of(log.server)
        until = parse_position(position, now)
        states = await all_as_of(deployment, log, chosen, until)
        if chosen is ROUTE_TABLE:
            columns = endpoint_columns(moment_of(until, now), narrow=is_narrow(output))
            rows = (endpoint_row(0, state) for state in states)
            print_rows(output, EndpointRow, rows, columns, nothing="no endpoints yet")
            return
        documents = [msgspec.json.decode(chosen.encode(state, 0)) for state in states]
        if output.is_table:
            shown = list(zip(states, documents, strict=True))
            print_table(output, _document_columns(chosen), shown, nothing="nothing yet")
        else:
            print_values(output, chosen.document, documents)


def _document_columns(projection: Projection[Any]) -> Columns[tuple[Any, dict[str, Any]]]:
    """Return the columns for pairs of a state and its document, without stamps."""
    kinds = {one.name: one.type for one in msgspec.structs.fields(projection.document)}
    names = [name for name, kind in kinds.items() if name not in _KEYS and kind is not EntryId]
    return (
        Column("ENDPOINT", lambda one: one[0].endpoint_id, folds=True),
        Column("VERSION", lambda one: one[0].version, folds=True),
        *(Column(name.replace("_", " ").upper(), _cell_of(name), folds=True) for name in names),
    )


def _cell_of(name: str) -> Callable[[tuple[Any, dict[str, Any]]], object]:
    """Return the function of a cell: the value of the field *name*, or the size of a collection."""

    def cell(row: tuple[Any, dict[str, Any]]) -> object:
        value = row[1].get(name)
        return len(value) if isinstance(value, list | dict) else value

    return cell


@click.command()
@projection_option
@click.option("--from", "since", required=True, metavar="POSITION", help=f"{_POSITION}.")
@click.option(
    "--to",
    "until",
    default="end",
    show_default=True,
    metavar="POSITION",
    help=f"{_POSITION}.",
)
@output_option
@watch_option
@command_of
async def diff(
    deployment: Deployment, *, projection: str, since: str, until: str, output: OutputForm
) -> None:
    """Show what is another after --to than it was after --from, and which events did it.

    \b
    Example: routestream replay diff --from -2h --to -1h
    """
    chosen = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        now = await now_of(log.server)
        between = parse_between(since, until, now)
        source = source_of(deployment, log)
        changes: list[EndpointChange[Any]] = []
        lines: list[_ChangeLine] = []
        for one in partitions_of(log, None):
            snapshots = snapshots_of(deployment, log, one)
            changed = await changes_between(source, chosen, snapshots, between)
            changes += changed
            if output.is_table:
                lines += await _lines(source, one, changed, wide=output.is_wide)
        if output.is_table:
            columns = _changed_columns(wide=output.is_wide)
            print_table(output, columns, lines, nothing="nothing changed")
            return
        rows = (ChangedRow(one.endpoint_id, change_rows(one.differences)) for one in changes)
        print_values(output, ChangedRow, (row for row in rows if row.changes))


def _changed_columns(*, wide: bool) -> Columns[_ChangeLine]:
    return (
        Column("ENDPOINT", lambda line: shown_id(line.endpoint_id, wide=wide)),
        Column("CHANGED", lambda line: line.words, folds=True),
        Column("BY", lambda line: line.at if line.at > START else None),
        Column("EVENT", lambda line: line.event),
    )


async def all_as_of(
    deployment: Deployment, log: EventLog, projection: Projection[Any], until: EntryId
) -> list[Any]:
    """Return every state as it was after *until*, by endpoint."""
    states: dict[UUID, Any] = {}
    for one in partitions_of(log, None):
        snapshots = snapshots_of(deployment, log, one)
        states |= (await as_of(snapshots.source, projection, snapshots, until)).states
    return [states[one] for one in sorted(states, key=lambda one: one.int)]


async def _lines(
    log: Source, partition: int, changes: Sequence[EndpointChange[Any]], *, wide: bool
) -> list[_ChangeLine]:
    lines = [
        (change.endpoint_id, words, at)
        for change in changes
        for words, at in in_words(change.differences, wide=wide)
    ]
    names = await names_of_events(log, partition, (at for _, _, at in lines))
    return [_ChangeLine(endpoint_id, words, at, names.get(at)) for endpoint_id, words, at in lines]
