"""The command that shows all events of one endpoint, with the change that each made."""

from typing import Any
from uuid import UUID

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of, snapshots_of, source_of
from consumers.cli.endpoints.at_position import endpoint_at
from consumers.cli.endpoints.named_endpoint import endpoint_id_of
from consumers.cli.endpoints.register_changes import ChangeRow, change_rows, in_words
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import projection_option
from consumers.cli.terminal.output import (
    OutputForm,
    output_option,
    print_rows,
    print_value,
    printable,
    watch_option,
)
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_between, time_of
from events.log.keys import partition_of
from events.log.log import EventLog
from events.server.server import now_of
from projections.catalogue import PROJECTIONS
from projections.errors import NoLiveGenerationError
from projections.projection import Projection
from projections.replay.endpoint_trace import TraceStep, endpoint_trace
from projections.replay.folding import Folding
from projections.replay.partition_history import extent_of
from projections.replay.replay import only


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an endpoint, and what it changed."""

    entry_id: EntryId
    time: str
    endpoint_id: UUID
    name: str
    event_id: str
    source: str
    changes: list[ChangeRow]
    problem: str | None
    step: ForTable[TraceStep]


@click.command("trace")
@click.argument("endpoint")
@projection_option
@click.option("--from", "since", metavar="POSITION", help="Leave out what was before.")
@click.option("--to", "until", metavar="POSITION", help="Leave out what came later.")
@output_option
@watch_option
@command_of
async def trace_events(
    deployment: Deployment,
    *,
    endpoint: str,
    projection: str,
    since: str | None,
    until: str | None,
    output: OutputForm,
) -> None:
    """Show all events of one endpoint, in their order, with the change that each made.

    ENDPOINT is its id, the beginning of it, or its name. What an event changes depends on all
    earlier events: with --from the log is read from the newest snapshot before that position,
    otherwise from its start.

    \b
    Example: routestream events trace chat --from -2h
    """
    chosen = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        now = await now_of(log.server)
        first, last = parse_between(since, until, now)
        after = first.before()
        endpoint_id = await _named(deployment, log, endpoint)
        begin = await _begin(deployment, log, chosen, endpoint_id, after)
        steps = endpoint_trace(source_of(deployment, log), begin, endpoint_id, after, last)
        kept: list[StepRow] = []
        async for step in steps:
            row = _step_row(step, endpoint_id)
            if output.is_lines:
                print_value(output, row)
            else:
                kept.append(row)
        within = "" if since is until is None else " in that range"
        nothing = f"no events of that endpoint{within}"
        print_rows(output, StepRow, kept, _step_columns(wide=output.is_wide), nothing=nothing)


async def _named(deployment: Deployment, log: EventLog, endpoint: str) -> UUID:
    """Return the id of *endpoint*; where no read model is live, find the name in all of the log."""
    try:
        return await endpoint_id_of(log, endpoint)
    except NoLiveGenerationError:
        _, state, _ = await endpoint_at(deployment, log, endpoint, "end")
        return state.endpoint_id


async def _begin(
    deployment: Deployment,
    log: EventLog,
    projection: Projection[Any],
    endpoint_id: UUID,
    after: EntryId,
) -> Folding[Any]:
    """Return the state to begin with, and say which events are lost."""
    partition = partition_of(endpoint_id, log.partitions)
    begin: Folding[Any] = Folding(projection, partition)
    if after > START:
        snapshots = snapshots_of(deployment, log, partition)
        begin = await snapshots.newest(projection, after, only(endpoint_id))
    extent = await extent_of(source_of(deployment, log), partition)
    if extent.missing_until(begin.position, begin.appended) is not None:
        say(
            f"what happened before {extent.first or 'now'} was trimmed and is in no archive: it is"
            " not shown, and what came next is shown as if nothing had been before"
        )
    return begin


def _step_row(step: TraceStep, endpoint_id: UUID) -> StepRow:
    recorded = step.recorded
    return StepRow(
        entry_id=recorded.entry_id,
        time=time_of(recorded.entry_id).isoformat(),
        endpoint_id=endpoint_id,
        name=recorded.event.wire_name,
        event_id=recorded.event_id,
        source=recorded.source,
        changes=change_rows(step.differences),
        problem=step.problem,
        step=step,
    )


def _step_columns(*, wide: bool) -> Columns[StepRow]:
    return (
        Column("TIME", lambda row: f"{time_of(row.entry_id):%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z"),
        Column("ENTRY", lambda row: row.entry_id),
        Column("EVENT", lambda row: row.name),
        Column("CHANGE", lambda row: _change(row.step, wide=wide), folds=True),
        Column("SOURCE", lambda row: row.source, is_below=True),
    )


def _change(step: TraceStep, *, wide: bool) -> str:
    if step.problem is not None:
        return printable(f"not folded: {step.problem}")
    changes = "; ".join(words for words, _ in in_words(step.differences, wide=wide))
    return printable(changes or "nothing")
