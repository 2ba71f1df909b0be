"""The commands that show a read model as of a past moment, and what changed since another."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of, snapshots_of, source_of
from consumers.cli.endpoints.as_json import ENDPOINT_FIELDS, as_json
from consumers.cli.endpoints.at_position import moment_of
from consumers.cli.endpoints.changes import difference_values, in_words
from consumers.cli.endpoints.mismatches import names_of_events
from consumers.cli.endpoints.table import ENDPOINT_COLUMNS, endpoint_row
from consumers.cli.terminal.options import partitions_of, projection_option
from consumers.cli.terminal.output import OutputForm, is_narrow, output_option, print_rows, shown_id
from consumers.cli.terminal.table import Column
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_between, parse_position
from events.log.log import EventLog
from events.server.server import now_of
from projections.catalogue import PROJECTIONS
from projections.projection import Projection
from projections.replay.source import Source
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.as_of import Change, as_of, changes_between

_POSITION = "start, end, an entry id, an RFC 3339 time, or a span such as -2h"
_KEYS = frozenset({"revision", "endpoint_id", "version"})
_CHANGED_COLUMNS = (
    Column("ENDPOINT"),
    Column("CHANGED", folds=True),
    Column("BY"),
    Column("EVENT"),
)


@click.command()
@projection_option
@click.option("--as-of", "position", required=True, metavar="POSITION", help=f"{_POSITION}.")
@output_option
@command_of
async def show(
    deployment: Deployment, *, projection: str, position: str, output: OutputForm
) -> None:
    """Show a whole projection as it was after all up to POSITION had happened.

    \b
    Example: routestream replay show --as-of 2026-01-31T22:00:00Z
    """
    of = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        now = await now_of(log.server)
        until = parse_position(position, now)
        states = await all_as_of(deployment, log, of, until)
        if of is ROUTE_TABLE:
            moment, narrow = moment_of(until, now), is_narrow(output)
            rows = [endpoint_row(state, moment, narrow=narrow) for state in states]
            values: list[Any] = [as_json(0, state) for state in states]
            print_rows(
                *(output, ENDPOINT_COLUMNS, rows, values),
                fields=ENDPOINT_FIELDS,
                nothing="no endpoints yet",
            )
            return
        documents = [msgspec.json.decode(of.encode(state, 0)) for state in states]
        names = _told_names(of)
        rows = [
            (state.endpoint_id, state.version, *(_told(one.get(name)) for name in names))
            for state, one in zip(states, documents, strict=True)
        ]
        columns = ("ENDPOINT", "VERSION", *(name.replace("_", " ").upper() for name in names))
        fields = of.document.__struct_fields__
        print_rows(output, columns, rows, documents, fields=fields, nothing="nothing yet")


def _told_names(of: Projection[Any]) -> list[str]:
    """Return the fields of a document that say more than when something happened."""
    kinds = {one.name: one.type for one in msgspec.structs.fields(of.document)}
    return [n for n, kind in kinds.items() if n not in _KEYS and kind is not EntryId]


def _told(value: object) -> object:
    """Return what a cell says of a field: of many things how many there are."""
    return len(value) if isinstance(value, list | dict) else value


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
@command_of
async def diff(
    deployment: Deployment, *, projection: str, since: str, until: str, output: OutputForm
) -> None:
    """Show what is another after --to than it was after --from, and which events did it.

    \b
    Example: routestream replay diff --from -2h --to -1h
    """
    of = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        now = await now_of(log.server)
        between = parse_between(since, until, now)
        source = source_of(deployment, log)
        changes: list[Change[Any]] = []
        rows: list[tuple[object, ...]] = []
        for one in partitions_of(log, None):
            changed = await changes_between(source, of, snapshots_of(deployment, log, one), between)
            changes += changed
            if output.is_table:
                rows += await _rows(source, one, changed, wide=output.is_wide)
        fields = ("endpoint_id", "changes")
        values = (
            {"endpoint_id": str(change.endpoint_id), "changes": told}
            for change in changes
            if (told := difference_values(change.differences))
        )
        print_rows(output, _CHANGED_COLUMNS, rows, values, fields=fields, nothing="nothing changed")


async def all_as_of(
    deployment: Deployment, log: EventLog, of: Projection[Any], until: EntryId
) -> list[Any]:
    """Return every state as it was after *until*, by endpoint."""
    states: dict[UUID, Any] = {}
    for one in partitions_of(log, None):
        snapshots = snapshots_of(deployment, log, one)
        states |= (await as_of(snapshots.source, of, snapshots, until)).states
    return [states[one] for one in sorted(states, key=lambda one: one.int)]


async def _rows(
    log: Source, partition: int, changes: Sequence[Change[Any]], *, wide: bool
) -> list[tuple[object, ...]]:
    lines = [
        (shown_id(change.endpoint_id, wide=wide), words, at)
        for change in changes
        for words, at in in_words(change.differences, wide=wide)
    ]
    names = await names_of_events(log, partition, (at for _, _, at in lines))
    return [(*line, at if at > START else None, names.get(at)) for *line, at in lines]
