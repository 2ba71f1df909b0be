"""The commands that write, list and check the archive."""

import click
import msgspec

from consumers.cli.archive.table import PART_KINDS, part_row, print_listed, segment_in_words
from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.messages import EXIT_FAILED, say
from consumers.cli.terminal.options import partition_option, partitions_of
from consumers.cli.terminal.output import (
    OutputForm,
    confirm,
    output_option,
    print_value,
    watch_option,
    yes_option,
)
from events.archive.archive import Archive
from events.archive.archiver import HOLDER, Written, archive_partition, bound_of
from events.archive.check import Listed, check_partition
from events.archive.manifest import Gap, Part
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_position
from events.log.log import EventLog
from events.log.partition_chunk import read_chunk_back
from events.log.positions import Positions
from events.server.server import now_of

location_option = click.option(
    "--location",
    metavar="PLACE",
    help="A folder or s3://BUCKET/PREFIX; the setting archive.location unless given.",
)


@click.group()
def archive() -> None:
    """Keep closed segments of the log outside of Redis."""


@archive.command("run")
@location_option
@click.option(
    "--to",
    "until",
    metavar="POSITION",
    help="Archive entries up to here; without it all that are older than archive.margin_s.",
)
@partition_option
@click.option(
    "--accept-gap",
    is_flag=True,
    help="Go on where entries were trimmed before they were archived; the manifest will say so.",
)
@yes_option
@output_option
@command_of
async def run_archive(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    location: str | None,
    until: str | None,
    partition: int | None,
    accept_gap: bool,
    yes: bool,
    output: OutputForm,
) -> None:
    """Write what is not archived yet, as segments; only then may it be trimmed.

    Each segment is written, synced, read back and checked before the manifest names it. It can be
    interrupted at any moment, and run twice at once.

    \b
    Example: routestream archive run --location /var/lib/routestream/archive --yes
    """
    target = open_at(deployment, location)
    async with deployment.open_log() as log:
        wanted = partitions_of(log, partition)
        bound = await bound_of(log, target)
        if until is not None:
            bound = parse_position(until, await now_of(log.server))
        confirm([row for p in wanted for row in await _plan(log, target, p, bound)], yes=yes)
        written: list[Written] = []
        for p in wanted:
            async for segment in archive_partition(log, target, p, bound, accept_gap=accept_gap):
                if output.is_lines:
                    print_value(output, part_row(p, segment.segment), PART_KINDS)
                else:
                    written.append(segment)
                    say(f"partition {p}: {segment_in_words(segment.segment)}")
        listed = [Listed(done.partition, done.segment, None) for done in written]
        print_listed(output, listed, "nothing was to be archived")


async def _plan(
    log: EventLog, target: Archive, partition: int, bound: EntryId
) -> list[tuple[str, object, object]]:
    position = await Positions(log.server, log.keys, partition).of(HOLDER)
    end = (await target.state(partition)).manifest.end
    newest = (await read_chunk_back(log, partition, START, bound, 1)).entries
    until = max([end, *(EntryId.parse(entry_id) for entry_id, _ in newest)])
    where = f"partition {partition} in {target.storage.name}"
    plan: list[tuple[str, object, object]] = [(where, f"archived up to {end}", f"up to {until}")]
    if position is not None and position > end:
        what = f"partition {partition}, up to where the log says it is archived"
        plan.append(
            (what, position, f"set back to {end}: this archive has no more; is it another?")
        )
    return plan


@archive.command("ls")
@location_option
@partition_option
@output_option
@watch_option
@command_of
async def list_segments(
    deployment: Deployment, *, location: str | None, partition: int | None, output: OutputForm
) -> None:
    """List the segments of the archive, what lies between them, and whether the files are there.

    The chain of the manifest is checked; `archive check` reads the files as well.

    \b
    Example: routestream archive ls -o jsonl
    """
    target = open_at(deployment, location)
    async with deployment.open_log() as log:
        wanted = partitions_of(log, partition)
    listed = [one for p in wanted for one in await _listed(target, p)]
    is_empty = not any([await target.sizes(p) for p in wanted])
    nothing = "nothing is archived" if is_empty else "no manifest names what lies"
    print_listed(output, listed, f"{nothing} in {target.storage.name}")


async def _listed(there: Archive, partition: int) -> list[Listed]:
    manifest = (await there.state(partition)).manifest
    sizes = await there.sizes(partition)
    return [Listed(partition, part, _problem(part, sizes)) for part in manifest.parts]


def _problem(part: Part, sizes: dict[str, int]) -> str | None:
    if isinstance(part, Gap):
        return None
    size = sizes.get(part.file)
    if size is None:
        return "the file is missing"
    return None if size == part.stored_bytes else f"the file has {size} bytes"


@archive.command("check")
@location_option
@partition_option
@output_option
@watch_option
@command_of
async def check_archive(
    deployment: Deployment, *, location: str | None, partition: int | None, output: OutputForm
) -> None:
    """Read the whole archive again: chain, checksums, entries; exit 1 if anything is damaged.

    \b
    Example: routestream archive check
    """
    target = open_at(deployment, location)
    async with deployment.open_log() as log:
        checks = [await check_partition(log, target, p) for p in partitions_of(log, partition)]
    problems = [problem for one in checks for problem in one.problems]
    is_empty = not (problems or any(one.strays for one in checks))
    nothing = "nothing is archived" if is_empty else "no segment can be listed"
    listed = [part for one in checks for part in one.parts]
    print_listed(output, listed, f"{nothing} in {target.storage.name}")
    for problem in problems:
        say(f"damaged: {problem}")
    for one in checks:
        if one.strays:
            say(one.told_of_strays())
    if problems:
        raise click.exceptions.Exit(EXIT_FAILED)


def open_at(deployment: Deployment, location: str | None) -> Archive:
    """Return the archive at *location*, or where the settings say."""
    settings = deployment.settings.archive
    if location is not None:
        try:
            settings = msgspec.structs.replace(settings, location=location)
        except ValueError as error:
            raise click.UsageError(f"--location: {error}") from None
    return Archive.open(settings, deployment.settings.namespace)
