"""The commands that take, list and restore snapshots."""

import click
import msgspec
from anyio.to_thread import run_sync
from rich.filesize import decimal

from consumers.cli.deployment import Deployment, command_of, snapshots_of, source_of, store_of
from consumers.cli.endpoints.mismatches import ComparisonRow, comparison_row, print_mismatches
from consumers.cli.replay.rebuilt_table import Failures, printing_rebuilt
from consumers.cli.terminal.messages import EXIT_FAILED, say
from consumers.cli.terminal.options import (
    COUNT_MAX,
    ProjectionChoice,
    partition_option,
    partitions_of,
    projection_argument,
)
from consumers.cli.terminal.output import (
    OutputForm,
    confirm,
    output_option,
    print_rows,
    watch_option,
    yes_option,
)
from consumers.cli.terminal.table import Column, Columns
from events.entry.entry_id import EntryId
from projections.catalogue import PROJECTIONS
from projections.replay.rebuild import Rebuild
from projections.snapshots.manifest import SnapshotManifest
from projections.snapshots.snapshot import problem_of


class TakenRow(SnapshotManifest, frozen=True, kw_only=True):
    """A snapshot that was taken, and how the live documents differ from it."""

    comparison: ComparisonRow | None


class ListedRow(SnapshotManifest, frozen=True, kw_only=True):
    """A snapshot; *problem* says what is wrong with its file, null if nothing is."""

    problem: str | None


_VERIFIED = {True: "yes", False: "no: it differs from what is live", None: "not compared"}
_COLUMNS: Columns[SnapshotManifest] = (
    Column("PROJECTION", lambda row: row.projection),
    Column("VERSION", lambda row: row.version, is_number=True),
    Column("PARTITION", lambda row: row.partition, is_number=True),
    Column("POSITION", lambda row: row.position),
    Column("DOCUMENTS", lambda row: row.documents, is_number=True),
    Column("SIZE", lambda row: decimal(row.size_bytes).replace(" bytes", " B"), is_number=True),
    Column("VERIFIED", lambda row: _VERIFIED[row.verified]),
    Column("TAKEN", lambda row: row.taken_at),
    Column("FILE", lambda row: row.file, is_below=True),
)
_PROBLEM: Column[ListedRow] = Column("STATE", lambda row: row.problem or "ok", folds=True)


@click.group("snapshot")
def snapshot() -> None:
    """Keep the state of a projection at a position in a file, and begin with it again."""


@snapshot.command()
@click.argument("projection", type=ProjectionChoice(), required=False)
@partition_option
@click.option(
    "--keep",
    type=click.IntRange(1, COUNT_MAX),
    help="Delete all but so many of the newest, and the newest verified one.",
)
@output_option
@command_of
async def take(
    deployment: Deployment,
    *,
    projection: str | None,
    partition: int | None,
    keep: int | None,
    output: OutputForm,
) -> None:
    """Fold the log independently, compare that with what is live, and keep what was folded.

    It takes a snapshot of every projection unless PROJECTION is given. The exit code is 1 if what
    is live differs or could not be compared: the snapshot is right all the same, but it lets
    nothing be trimmed. Any other does once every projector of the group can read it, and so has
    its folder.

    \b
    Example: routestream snapshot take route-table --keep 7
    """
    chosen = list(PROJECTIONS.values()) if projection is None else [PROJECTIONS[projection]]
    taken: list[TakenRow] = []
    failures = Failures()
    async with deployment.open_log() as log:
        for kind in chosen:
            for p in partitions_of(log, partition):
                snapshots = snapshots_of(deployment, log, p)
                with failures.kept():
                    manifest, comparison = await snapshots.take(store_of(log, kind, p))
                    row = None if comparison is None else comparison_row(kind, comparison)
                    facts = msgspec.structs.asdict(manifest)
                    taken.append(TakenRow(**facts, comparison=row))
                    if output.is_table:
                        say(f"taken in {snapshots.folder}")
                    if keep is not None:
                        for old in await run_sync(snapshots.prune, kind, keep):
                            say(f"deleted {snapshots.folder / old.file}")
                    if comparison is not None and output.is_table:
                        await print_mismatches(output, snapshots.source, p, comparison)
    if taken:
        print_rows(output, TakenRow, taken, _COLUMNS)
    failures.tell()
    if not all(row.verified for row in taken):
        click.get_current_context().exit(EXIT_FAILED)


@snapshot.command("ls")
@partition_option
@output_option
@watch_option
@command_of
async def list_snapshots(
    deployment: Deployment, *, partition: int | None, output: OutputForm
) -> None:
    """List the snapshots, the newest first.

    The state says where a file is missing or has another size than it had; a restore reads it.

    \b
    Example: routestream snapshot ls
    """
    async with deployment.open_log() as log:
        found = [
            ListedRow(
                **msgspec.structs.asdict(manifest),
                problem=problem_of(snapshots.folder, manifest),
            )
            for one in partitions_of(log, partition)
            for snapshots in [snapshots_of(deployment, log, one)]
            for manifest in snapshots.manifests()
        ]
    nothing = f"no snapshots in {deployment.settings.snapshots.folder}"
    print_rows(output, ListedRow, found, (*_COLUMNS, _PROBLEM), nothing=nothing)


@snapshot.command()
@projection_argument
@partition_option
@click.option("--position", metavar="ID", help="Of the snapshot; the newest one unless given.")
@yes_option
@output_option
@command_of
async def restore(
    deployment: Deployment,
    *,
    projection: str,
    partition: int | None,
    position: str | None,
    yes: bool,
    output: OutputForm,
) -> None:
    """Make a snapshot, with all that came since folded in, the live generation.

    A snapshot that is damaged, or of another log, projection or version, is refused.

    \b
    Example: routestream snapshot restore route-table --yes
    """
    chosen = PROJECTIONS[projection]
    at = None if position is None else EntryId.parse(position)
    async with deployment.open_log() as log:
        partitions = partitions_of(log, partition)
        foldings = []
        for one in partitions:
            snapshots = snapshots_of(deployment, log, one)
            foldings.append(await snapshots.load(snapshots.find(chosen, at), chosen))
        stores = [store_of(log, chosen, one) for one in partitions]
        plan = [
            (
                f"partition {store.partition}, live generation",
                await store.live_generation() or "none",
                f"a new one from the snapshot at {folding.position}",
            )
            for store, folding in zip(stores, foldings, strict=True)
        ]
        confirm(plan, yes=yes)
        source = source_of(deployment, log)
        async with printing_rebuilt(source, chosen, partitions, output) as done:
            for store, folding in zip(stores, foldings, strict=True):
                done[store.partition] = await Rebuild(source, store, folding).run()
