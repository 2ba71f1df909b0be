"""The commands that rebuild a read model, and that roll a rebuild back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import click
import msgspec
from anyio import CancelScope, get_cancelled_exc_class
from rich.filesize import decimal

from consumers.cli.deployment import Deployment, command_of, snapshots_of, source_of, store_of
from consumers.cli.endpoints.mismatches import ROLLED_BACK
from consumers.cli.endpoints.named_endpoint import endpoint_id_of
from consumers.cli.replay.progress import ProgressPrinter
from consumers.cli.replay.rebuilt_table import printing_rebuilt
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.messages import EXIT_FAILED, say, say_note
from consumers.cli.terminal.options import partition_option, partitions_of, projection_argument
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    confirm,
    output_option,
    print_value,
    yes_option,
)
from events.errors import EventsError
from events.log.accepted_loss import accept_loss_of
from events.log.keys import partition_of
from events.log.log import EventLog
from projections.catalogue import PROJECTIONS
from projections.errors import (
    WAY_OUT,
    HistoryMissingError,
    NothingKeptError,
    ProjectionsError,
)
from projections.projection import Projection
from projections.read_model.store import ReadModelStore
from projections.replay.document_repair import repair_document
from projections.replay.folding import Folding
from projections.replay.partition_history import Source, check_complete, extent_of
from projections.replay.rebuild import Rebuild, Rebuilt, rollback
from projections.replay.rebuild_plan import RebuildPlan, rebuild_plan
from projections.replay.replay import only
from projections.snapshots.snapshot_store import Snapshots

_KEPT_FROM = 10_000
"""Folded entries that are worth keeping; fewer are folded again as fast as read from a file."""


@click.group(cls=CommandGroup)
def replay() -> None:
    """Read the recorded history again: into read models, or as of a moment that is past."""


@replay.command()
@projection_argument
@partition_option
@click.option(
    "--endpoint",
    "named",
    metavar="ENDPOINT",
    help="Mend only the document of this endpoint: its name, its id, or the beginning of it.",
)
@click.option("--from-start", is_flag=True, help="Use no snapshot.")
@click.option(
    "--accept-loss", is_flag=True, help="Go on where entries are gone: what they said is lost."
)
@yes_option
@output_option
@command_of
async def rebuild(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    projection: str,
    partition: int | None,
    named: str | None,
    from_start: bool,
    accept_loss: bool,
    yes: bool,
    output: OutputForm,
) -> None:
    """Fold the log into a new generation, compare it with the live one, and swap it in.

    The live generation stays in use meanwhile, and is kept for `replay rollback`. Partitions are
    rebuilt one after the other. It can be interrupted at any moment: the partition that is under
    way is not changed, and what was folded is kept as a snapshot, from which the same command
    continues without --from-start.

    \b
    Example: routestream replay rebuild route-table --yes
    """
    chosen = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        if named is not None:
            endpoint = await endpoint_id_of(log, named)
            actual = partition_of(endpoint, log.partitions)
            if partition not in {None, actual}:
                raise click.UsageError(f"--partition {partition}: that endpoint is in {actual}")
            await _mend(
                log, deployment, chosen, endpoint, accept_loss=accept_loss, yes=yes, output=output
            )
            return
        foldings = {
            p: Folding(chosen, p)
            if from_start
            else await snapshots_of(deployment, log, p).newest(chosen)
            for p in partitions_of(log, partition)
        }
        source = source_of(deployment, log, say_note if accept_loss else None)
        stores = {p: store_of(log, chosen, p) for p in foldings}
        if not accept_loss:
            for p, folding in foldings.items():
                await _check_complete(source, stores[p], folding)
        plans = [await rebuild_plan(source, stores[p], foldings[p]) for p in foldings]
        if not any(plan.endpoints or plan.entries or plan.live for plan in plans):
            raise NotFoundError(f"log {log.keys.namespace!r} has no entries: nothing to fold")
        for plan in plans:
            _tell(plan)
        confirm([_change(plan) for plan in plans], yes=yes)
        async with printing_rebuilt(source, chosen, list(foldings), output) as done:
            for plan in plans:
                folding = foldings[plan.partition]
                note = ProgressPrinter(output, plan, folding)
                snapshots = None if accept_loss else snapshots_of(deployment, log, plan.partition)
                store = stores[plan.partition]
                if accept_loss and log.layout.identity is not None:
                    await accept_loss_of(log.server.client, log.keys, store.partition, log.layout)
                rebuild = Rebuild(source, store, folding, accept_loss=accept_loss, note=note)
                async with _kept(folding, snapshots, from_start=from_start):
                    with note.shown():
                        done[plan.partition] = await rebuild.run()


async def _check_complete(
    source: Source, store: ReadModelStore[Any], folding: Folding[Any]
) -> None:
    """Raise HistoryMissingError, which says how to go on, where entries that it needs are gone."""
    extent = await extent_of(source, store.partition)
    try:
        check_complete(store.partition, folding.position, extent, folding.appended)
    except HistoryMissingError as error:
        way_out = WAY_OUT
        if await store.live_generation() is not None:
            way_out = "what is live stays; --accept-loss replaces it with what is left"
        raise HistoryMissingError(f"history missing: {error}; {way_out}") from None


@replay.command("rollback")
@projection_argument
@partition_option
@yes_option
@output_option
@command_of
async def go_back(
    deployment: Deployment,
    *,
    projection: str,
    partition: int | None,
    yes: bool,
    output: OutputForm,
) -> None:
    """Bring the generation that was live before up to date, and swap it in again.

    The exit code is 1 if its documents differ from those that were live: both have the same events,
    so one of the two is wrong, and `replay verify` tells which.

    \b
    Example: routestream replay rollback route-table --yes
    """
    chosen = PROJECTIONS[projection]
    async with deployment.open_log() as log:
        partitions = partitions_of(log, partition)
        stores = [store_of(log, chosen, one) for one in partitions]
        changes = []
        for store in stores:
            kept = await store.kept()
            if kept is None:
                raise NothingKeptError(
                    f"{projection}, partition {store.partition}: no earlier generation is kept"
                )
            live = await store.live_generation()
            what = f"partition {store.partition}, live generation"
            changes.append((what, live or "none", kept.generation))
        confirm(changes, yes=yes)
        source = source_of(deployment, log)
        async with printing_rebuilt(source, chosen, partitions, output, ROLLED_BACK) as done:
            for store in stores:
                done[store.partition] = await rollback(source, store)
        _tell_of_rollback(chosen, done)


def _tell_of_rollback(projection: Projection[Any], done: Mapping[int, Rebuilt]) -> None:
    """Say what differs from the documents that were live; exit with 1 if anything does."""
    compared = [one.comparison for one in done.values() if one.comparison is not None]
    differing = sum(len(comparison.mismatches) for comparison in compared)
    if differing:
        say(
            f"{differing} documents differ from those that were live, with the same events in them;"
            f" `routestream replay verify {projection.name}` tells which are right"
        )
    if not all(comparison.agrees for comparison in compared):
        click.get_current_context().exit(EXIT_FAILED)


@asynccontextmanager
async def _kept(
    folding: Folding[Any], snapshots: Snapshots | None, *, from_start: bool
) -> AsyncIterator[None]:
    """If the block is interrupted, keep the folded state for the next rebuild."""
    try:
        yield
    except get_cancelled_exc_class():
        if snapshots is not None and folding.entries >= _KEPT_FROM:
            with CancelScope(shield=True):
                say(await _keep(folding, snapshots, from_start=from_start))
        raise


async def _keep(folding: Folding[Any], snapshots: Snapshots, *, from_start: bool) -> str:
    try:
        kept = await snapshots.keep(folding)
    except (ProjectionsError, EventsError) as error:
        return f"interrupted; what was folded is not kept: {error}"
    if kept is None:
        return "interrupted; what was folded is not kept, for a part of it has to be folded again"
    following = "the command without --from-start" if from_start else "the same command"
    return (
        f"interrupted; {folding.entries:,} entries, folded up to {kept.position}, are kept in"
        f" {snapshots.folder / kept.file}: {following} goes on there"
    )


class MendedRow(msgspec.Struct, frozen=True):
    """The document that was repaired; *revision* is null if it was correct."""

    endpoint_id: UUID
    revision: int | None


async def _mend(  # noqa: PLR0913 - the options of the command
    log: EventLog,
    deployment: Deployment,
    projection: Projection[Any],
    endpoint_id: UUID,
    *,
    accept_loss: bool,
    yes: bool,
    output: OutputForm,
) -> None:
    partition = partition_of(endpoint_id, log.partitions)
    store = store_of(log, projection, partition)
    folding = await snapshots_of(deployment, log, partition).newest(
        projection, wants=only(endpoint_id)
    )
    held = await store.live_document(str(endpoint_id))
    before = "no document" if held is None else f"revision {held[0]}"
    confirm([(f"endpoint {endpoint_id}", before, "folded again")], yes=yes)
    source = source_of(deployment, log, say_note if accept_loss else None)
    revision = await repair_document(source, store, endpoint_id, folding, accept_loss=accept_loss)
    if not output.is_table:
        print_value(output, MendedRow(endpoint_id, revision))
    elif revision is None:
        say("it is as it should be; nothing was written")
    else:
        click.echo(f"written as revision {revision}")


def _tell(plan: RebuildPlan) -> None:
    entries = f"{plan.entries:,} entries up to {plan.until}"
    memory = decimal(plan.memory_bytes)
    say(
        f"partition {plan.partition}: {entries}, from {plan.since};"
        f" about {plan.endpoints:,} documents, up to {memory} of memory here"
    )
    if plan.unknown:
        named = ", ".join(f"{name} ({count})" for name, count in plan.unknown.items())
        say(f"not known here, left out: {named}, in the newest {plan.looked_at:,} entries")
    if plan.undecodable:
        say(f"unreadable: {plan.undecodable} of the newest {plan.looked_at:,} entries")


def _change(plan: RebuildPlan) -> tuple[str, object, object]:
    return f"partition {plan.partition}, live generation", plan.live or "none", "a new one"
