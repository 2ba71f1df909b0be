"""The commands that export a log into a file, and import the file into another log."""

from contextlib import aclosing
from pathlib import Path

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.events.export_target import STDOUT, export_target
from consumers.cli.terminal.messages import say_note
from consumers.cli.terminal.output import OutputForm, confirm, output_option, print_rows, yes_option
from consumers.cli.terminal.progress import ProgressLine
from consumers.cli.terminal.table import Column, Columns
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_between
from events.history.history import History
from events.log.keys import Keys
from events.log.log import EventLog
from events.server.server import now_of, open_server
from events.transfer.export_file import ExportWriter, Header, read_header
from events.transfer.log_import import PartitionPlan, import_log, plan_import


class Exported(msgspec.Struct):
    """What was exported from one partition."""

    partition: int
    entries: int = 0
    first: str | None = None
    last: str | None = None


_EXPORTED: Columns[Exported] = (
    Column("PARTITION", lambda row: row.partition, is_number=True),
    Column("ENTRIES", lambda row: row.entries, is_number=True),
    Column("FIRST", lambda row: row.first),
    Column("LAST", lambda row: row.last),
)


class Imported(msgspec.Struct, frozen=True):
    """What was imported into one partition."""

    partition: int
    added: int
    were_there: int
    last: EntryId | None


_IMPORTED: Columns[Imported] = (
    Column("PARTITION", lambda row: row.partition, is_number=True),
    Column("ADDED", lambda row: row.added, is_number=True),
    Column("WERE THERE", lambda row: row.were_there, is_number=True),
    Column("LAST", lambda row: row.last or START),
)


@click.command("export")
@click.argument("file", metavar="FILE|-")
@click.option("--from", "start", metavar="POSITION", help="Begin here; at the log's start if not.")
@click.option("--to", "end", metavar="POSITION", help="End here; at the present end if not.")
@click.option(
    "--accept-gap", is_flag=True, help="Export what there is, also where some is lost or damaged."
)
@output_option
@command_of
async def export_events(
    deployment: Deployment,
    *,
    file: str,
    start: str | None,
    end: str | None,
    accept_gap: bool,
    output: OutputForm,
) -> None:
    """Write the log, archive and stream, into FILE, to be brought in elsewhere by import-log.

    The file is one JSON object a line, with a header and a checksum; bytes that are not text are
    written as base64. It replaces FILE only when it is whole; a fifo or a device is written
    directly.

    \b
    Example: routestream events export log.jsonl
    """
    async with deployment.open_log() as log:
        archive = deployment.open_archive()
        if archive is not None and accept_gap:
            archive.on_damage = say_note
        history = History(log, archive, say_note if accept_gap else None)
        first, last = parse_between(start, end, await now_of(log.server))
        ends = [min(last, await history.head(p)) for p in range(log.partitions)]
        header = Header(namespace=log.keys.namespace, partitions=log.partitions, start=str(first))
        with export_target(file) as opened:
            exported = await _export(history, ExportWriter(opened, header), first, ends)
    if file != STDOUT:
        print_rows(output, Exported, exported, _EXPORTED)


async def _export(
    history: History, writer: ExportWriter, start: EntryId, ends: list[EntryId]
) -> list[Exported]:
    exported = [Exported(partition) for partition in range(len(ends))]
    progress = ProgressLine("exported")
    for part, end in zip(exported, ends, strict=True):
        if end < start or end == START:
            continue
        async with aclosing(history.raw_chunks(part.partition, start, end)) as chunks:
            async for entries in chunks:
                writer.add(part.partition, entries)
                part.entries += len(entries)
                part.first = part.first or entries[0][0].decode()
                part.last = entries[-1][0].decode()
                progress.add(len(entries), part.last)
    writer.end()
    progress.end()
    return exported


@click.command("import-log")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@yes_option
@output_option
@command_of
async def import_exported(
    deployment: Deployment, *, file: Path, yes: bool, output: OutputForm
) -> None:
    """Bring an export into a log: the same entries, under the same ids, on the same partitions.

    The file is read and checked as a whole first. The log must be empty, or have a beginning of
    the file, as an interrupted import leaves it: run it again and it goes on. Nobody may append
    meanwhile.

    \b
    Example: routestream --url redis://new:6379 events import-log log.jsonl
    """
    header = read_header(file)
    settings = deployment.settings
    if settings.partitions not in {None, header.partitions}:
        say_note(
            f"partitions: {header.partitions} in the export, {settings.partitions} in the"
            " settings; the log will be as the export is"
        )
    async with open_server(settings.server) as server:
        keys = Keys(settings.namespace)
        partitions = header.partitions
        log = await EventLog.open(server, keys, partitions=partitions, create=False)
        checking = ProgressLine("checked")
        plans = await plan_import(log, file, checking.add)
        confirm([_planned(plan) for plan in plans], yes=yes)
        log = await EventLog.open(server, keys, partitions=partitions)
        importing = ProgressLine("imported", sum(plan.count for plan in plans))
        try:
            await import_log(log, file, plans, importing.add)
        finally:
            importing.end()
    print_rows(output, Imported, map(_imported, plans), _IMPORTED)


def _planned(plan: PartitionPlan) -> tuple[str, object, object]:
    before = f"{plan.skipped} entries" if plan.present == START else f"up to {plan.present}"
    after = f"up to {max(plan.last, plan.present)}, {plan.count} entries more"
    return f"partition {plan.partition}", before, after


def _imported(plan: PartitionPlan) -> Imported:
    last = None if plan.last == START else plan.last
    return Imported(plan.partition, plan.count, plan.skipped, last)
