"""The command that compares a live read model with its events."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID
from zlib import crc32

import click

from consumers.cli.deployment import Deployment, command_of, snapshots_of, source_of, store_of
from consumers.cli.endpoints.mismatches import ComparisonRow, comparison_row, print_mismatches
from consumers.cli.replay.rebuilt_table import Failures
from consumers.cli.terminal.messages import EXIT_FAILED, say
from consumers.cli.terminal.options import (
    COUNT_MAX,
    partition_option,
    partitions_of,
    projection_argument,
)
from consumers.cli.terminal.output import OutputForm, output_option, print_rows, watch_option
from consumers.cli.terminal.table import Column, Columns
from events.log.log import EventLog
from events.server.server import now_of
from projections.catalogue import PROJECTIONS
from projections.errors import HistoryMissingError
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.comparison import PATIENCE_S, Comparison, compare
from projections.replay.folding import Folding, Wants
from projections.replay.partition_history import Source, check_complete, extent_of
from projections.replay.replay import replay

_COLUMNS: Columns[ComparisonRow] = (
    Column("PARTITION", lambda row: row.partition, folds=True),
    Column("GENERATION", lambda row: row.generation, folds=True),
    Column("POSITION", lambda row: row.position, folds=True),
    Column("ENDPOINTS", lambda row: row.endpoints, folds=True),
    Column("DIFFER", lambda row: row.mismatches, folds=True),
    Column("UNDECIDED", lambda row: len(row.undecided), folds=True),
)


@click.command()
@projection_argument
@partition_option
@click.option(
    "--sample", type=click.IntRange(1, COUNT_MAX), help="Compare so many endpoints, about."
)
@click.option("--from-start", is_flag=True, help="Use no snapshot.")
@output_option
@watch_option
@command_of
async def verify(
    deployment: Deployment,
    *,
    projection: str,
    partition: int | None,
    sample: int | None,
    from_start: bool,
    output: OutputForm,
) -> None:
    """Fold the log independently, and compare each live document with what came of it.

    The exit code is 1 if a document differs; each register that differs is printed with the event
    that last set it. It can run while events flow: a document that changes meanwhile is compared
    again, and reported as undecided, also with exit code 1, if the group did not settle its events
    in time.

    \b
    Example: routestream replay verify route-table --sample 1000
    """
    chosen = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        found: dict[int, Comparison] = {}
        failures = Failures()
        source = source_of(deployment, log)
        for one in partitions_of(log, partition):
            wants = await _sampled(log, chosen, one, sample)
            snapshots = snapshots_of(deployment, log, one)
            with failures.kept():
                folding = (
                    Folding(chosen, one, None, wants)
                    if from_start
                    else await snapshots.newest(chosen, wants=wants)
                )
                found[one] = await _compared(source, store_of(log, chosen, one), folding)
        if output.is_table:
            for one, comparison in found.items():
                await print_mismatches(output, source, one, comparison)
        if found:
            _print(chosen, found, output)
    failures.tell()
    if not all(comparison.agrees for comparison in found.values()):
        click.get_current_context().exit(EXIT_FAILED)


def _print(
    projection: Projection[Any], found: Mapping[int, Comparison], output: OutputForm
) -> None:
    rows = [comparison_row(projection, comparison, p) for p, comparison in found.items()]
    print_rows(output, ComparisonRow, rows, _COLUMNS)
    group = projection.read_model
    if undecided := {one: len(found[one].undecided) for one in found if found[one].undecided}:
        say(
            f"{sum(undecided.values())} undecided in partition {', '.join(map(str, undecided))}:"
            f" group {group} did not settle their events within {PATIENCE_S:.0f} s; see"
            f" `routestream groups show {group}`"
        )


async def _compared(log: Source, store: ReadModelStore[Any], folding: Folding[Any]) -> Comparison:
    begin, before, partition = folding.position, folding.appended, folding.partition
    extent = await extent_of(log, partition)
    check_complete(partition, begin, extent, before)
    await replay(log, folding, extent.last)
    comparison = await compare(log, store, folding, PATIENCE_S)
    try:
        check_complete(partition, begin, await extent_of(log, partition), before)
    except HistoryMissingError as error:
        raise HistoryMissingError(f"{error}; it was trimmed meanwhile") from None
    return comparison


async def _sampled(
    log: EventLog, projection: Projection[Any], partition: int, sample: int | None
) -> Wants | None:
    """Return a predicate for about *sample* of the endpoints, different ones each time."""
    if sample is None:
        return None
    store = store_of(log, projection, partition)
    live = await store.live_generation()
    documents = 0 if live is None else await store.count(live)
    if documents <= sample:
        return None
    salt = (await now_of(log.server)).isoformat().encode()
    most = int(sample / documents * 2**32)

    def wants(endpoint_id: UUID) -> bool:
        return crc32(salt, crc32(endpoint_id.bytes)) < most

    return wants
