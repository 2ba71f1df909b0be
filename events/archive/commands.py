"""The commands of the archive."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click
import msgspec
from rich.filesize import decimal

from events.archive.archive import Archive
from events.archive.archiver import HOLDER, Written, archive_partition, bound_of
from events.archive.errors import DamagedArchiveError
from events.archive.manifest import Gap, Manifest, Part
from events.archive.segment import Segment
from events.chunk import read_chunk_back
from events.entry_id import EntryId
from events.log import EventLog
from events.position import parse_position, time_of
from events.positions import Positions
from events.terminal.age import now_of
from events.terminal.exit_code import EXIT_FAILED
from events.terminal.output import (
    Deployment,
    OutputForm,
    command_of,
    confirm,
    output_option,
    print_rows,
    print_value,
    yes_option,
)
from events.terminal.partition import partition_option, partitions_of
from events.terminal.table import Column

location_option = click.option(
    "--location",
    metavar="PLACE",
    help="A folder or s3://BUCKET/PREFIX; the setting archive.location unless given.",
)

_COLUMNS = (
    Column("PARTITION", is_number=True),
    Column("FIRST"),
    Column("LAST"),
    Column("FROM", is_below=True),
    Column("UNTIL", is_below=True),
    *(Column(name, is_number=True) for name in ("ENTRIES", "SIZE", "STORED", "RATIO")),
    Column("STATE", folds=True),
)


class Listed(msgspec.Struct, frozen=True):
    """A part of the archive, and what is wrong with it, None for nothing that was found."""

    partition: int
    part: Part
    problem: str | None


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
    there = open_at(deployment, location)
    async with deployment.open_log() as log:
        wanted = partitions_of(log, partition)
        bound = await bound_of(log, there)
        if until is not None:
            bound = parse_position(until, await now_of(log.server))
        confirm([await _plan(log, there, one, bound) for one in wanted], yes=yes)
        written: list[Written] = []
        for one in wanted:
            async for segment in archive_partition(log, there, one, bound, accept_gap=accept_gap):
                written.append(segment)
                if output == "jsonl":
                    print_value(output, _as_json(one, segment.segment))
                else:
                    click.echo(f"partition {one}: {_told(segment.segment)}", err=True)
        if output != "jsonl":
            listed = [Listed(one.partition, one.segment, None) for one in written]
            _print(output, listed, "nothing was to be archived")


async def _plan(
    log: EventLog, there: Archive, partition: int, bound: EntryId
) -> tuple[str, object, object]:
    end = (await there.state(partition)).manifest.end
    newest = (await read_chunk_back(log, partition, bound, 1)).entries
    until = max([end, *(EntryId.parse(entry_id) for entry_id, _ in newest)])
    return f"partition {partition} in {there.place.name}", f"archived up to {end}", f"up to {until}"


@archive.command("ls")
@location_option
@partition_option
@output_option
@command_of
async def list_segments(
    deployment: Deployment, *, location: str | None, partition: int | None, output: OutputForm
) -> None:
    """List the segments of the archive, what lies between them, and whether the files are there.

    The chain of the manifest is checked; `archive check` reads the files as well.

    \b
    Example: routestream archive ls -o jsonl
    """
    there = open_at(deployment, location)
    async with deployment.open_log() as log:
        listed = [one for p in partitions_of(log, partition) for one in await _listed(there, p)]
    _print(output, listed, f"nothing is archived in {there.place.name}")


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
@command_of
async def check_archive(
    deployment: Deployment, *, location: str | None, partition: int | None, output: OutputForm
) -> None:
    """Read the whole archive again: chain, checksums, entries; exit 1 if anything is damaged.

    \b
    Example: routestream archive check
    """
    there = open_at(deployment, location)
    listed: list[Listed] = []
    problems: list[str] = []
    async with deployment.open_log() as log:
        for one in partitions_of(log, partition):
            try:
                manifest = (await there.state(one)).manifest
            except DamagedArchiveError as error:
                problems.append(str(error))
                continue
            listed += [Listed(one, p, await _read_problem(there, one, p)) for p in manifest.parts]
            problems += await _beyond(log, there, manifest)
    _print(output, listed, f"nothing is archived in {there.place.name}")
    problems += [one.problem for one in listed if one.problem is not None]
    for problem in problems:
        click.echo(f"damaged: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(EXIT_FAILED)


async def _read_problem(there: Archive, partition: int, part: Part) -> str | None:
    if isinstance(part, Gap):
        return None
    try:
        await there.check(partition, part)
    except DamagedArchiveError as error:
        return str(error)
    return None


async def _beyond(log: EventLog, there: Archive, manifest: Manifest) -> list[str]:
    """Return what the log claims and the manifest lacks; name files that no manifest names."""
    named = {one.file for one in manifest.segments}
    strays = sorted(set(await there.sizes(manifest.partition)) - named)
    if strays:
        click.echo(
            f"partition {manifest.partition}: no manifest names {', '.join(strays[:3])}"
            f" ({len(strays)} in all), as an interrupted run leaves them; they may be deleted while"
            " none runs",
            err=True,
        )
    position = await Positions(log.server, log.keys, manifest.partition).of(HOLDER)
    if position is None or position <= manifest.end:
        return []
    claimed = f"the log says it is archived up to {position}, this archive ends at {manifest.end}"
    return [f"partition {manifest.partition}: {claimed}"]


def open_at(deployment: Deployment, location: str | None) -> Archive:
    """Return the archive at *location*, or where the settings say."""
    settings = deployment.archive
    if location is not None:
        try:
            settings = msgspec.structs.replace(settings, location=location)
        except ValueError as error:
            raise click.UsageError(f"--location: {error}") from None
    return Archive.open(settings, deployment.namespace)


def _print(output: OutputForm, listed: Sequence[Listed], nothing: str) -> None:
    rows = (_row(one) for one in listed)
    values = (_as_json(one.partition, one.part, one.problem) for one in listed)
    print_rows(output, _COLUMNS, rows, values, nothing=nothing)


def _row(listed: Listed) -> tuple[object, ...]:
    part = listed.part
    if isinstance(part, Gap):
        ids = (f"after {part.after}", f"before {part.until}")
        return (listed.partition, *ids, None, None, part.count, *[None] * 3, "gap, lost")
    sizes = (_size(part.raw_bytes), _size(part.stored_bytes), f"{_ratio(part):.1f}")
    times = (_time(part.first_id), _time(part.last_id))
    state = "ok" if listed.problem is None else "damaged"
    return (listed.partition, part.first, part.last, *times, part.count, *sizes, state)


def _as_json(partition: int, part: Part, problem: str | None = None) -> dict[str, object]:
    told: dict[str, object] = {"partition": partition, **msgspec.to_builtins(part)}
    if isinstance(part, Segment):
        told |= {
            "first_at": time_of(part.first_id).isoformat(),
            "last_at": time_of(part.last_id).isoformat(),
            "ratio": round(_ratio(part), 2),
        }
    return {**told, "problem": problem}


def _told(segment: Segment) -> str:
    size = f"{_size(segment.raw_bytes)} in {_size(segment.stored_bytes)}"
    return f"archived {segment.first} to {segment.last}: {segment.count} entries, {size}"


def _size(size: int) -> str:
    return decimal(size).replace(" bytes", " B")


def _ratio(segment: Segment) -> float:
    return segment.raw_bytes / max(1, segment.stored_bytes)


def _time(entry_id: EntryId) -> str:
    moment: datetime = time_of(entry_id).astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}"
