"""The command that trims the log."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of, current_settings
from consumers.cli.terminal.form import print_values
from consumers.cli.terminal.options import partition_option, partitions_of
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    confirm,
    output_option,
    print_rows,
    yes_option,
)
from consumers.cli.terminal.table import Column
from consumers.cli.terminal.talk import say
from consumers.retention.holder import deadness_of, is_dead, remedy_of
from consumers.retention.settings import REQUIRED
from events.entry.age import age_of, span
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_span, time_of
from events.log.log import EventLog
from events.retention.retention import KEEP_S, Cut, Holder, Kind, RetentionRule, read_cut
from events.retention.trim import COUNTED_MAX, Trim, count_before, is_ours
from events.server.server import now_of
from events.streams.partition_stream import PartitionStream

_COLUMNS = (
    Column("READER", folds=True),
    Column("PARTITION", is_number=True),
    Column("STANDS AT", is_below=True),
    Column("KEEPS FROM"),
    Column("AGE"),
    Column("LETS GO", is_number=True),
    Column("STATE", folds=True),
)

Counts = Mapping[EntryId, int | None]


@click.command()
@partition_option
@click.option(
    "--keep", metavar="AGE", help="Keep what is younger, such as 7d or 12h (settings, else 7d)."
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(["archive", "snapshot"]),
    help="Cut also what is not in the archive, or in no snapshot; may be given twice.",
)
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@yes_option
@output_option
@command_of
async def trim(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    partition: int | None,
    keep: str | None,
    without: tuple[Kind, ...],
    dry_run: bool,
    yes: bool,
    output: OutputForm,
) -> None:
    """Cut the oldest events off the log, as far as nobody needs them any more.

    Kept is all that a group has not ended, that the archive or the last snapshot of a read model
    lacks, and what is younger than --keep. LETS GO is how many entries each reader alone would let
    go; what a group needs is found out once more at the moment of the trim.

    \b
    Example: routestream streams trim --keep 7d --dry-run
    """
    settings = current_settings().retention
    kept_s = parse_span(keep) if keep is not None else settings.keep_s or KEEP_S
    try:
        rule = RetentionRule(kept_s, REQUIRED, tuple(dict.fromkeys(without)))
    except ValueError as error:
        raise click.UsageError(f"--keep {keep}: {error}") from None
    async with deployment.open_log() as log:
        if not await is_ours(log):
            raise NotFoundError(
                f"there is no log {log.keys.namespace!r}: only one that routestream made is trimmed"
            )
        now = await now_of(log.server)
        wanted = partitions_of(log, partition)
        plans = [one for p in wanted if (one := await _plan(log, p, rule, now)) is not None]
        if dry_run or output.is_table:
            _print_plans(output, plans, now)
        if not dry_run:
            await _carry_out(log, rule, plans, output=output, yes=yes)


_Plan = tuple[Cut[PartitionStream], Counts]


async def _plan(log: EventLog, partition: int, rule: RetentionRule, now: datetime) -> _Plan | None:
    cut = await read_cut(log, partition, rule, _ms(now))
    if cut is None:
        return None
    places = [cut.at, cut.floor, *(holder.keeps_from for holder in cut.holding)]
    return cut, await count_before(log, partition, places)


def _ms(now: datetime) -> int:
    return round(now.timestamp() * 1_000)


def _print_plans(output: OutputForm, plans: Sequence[_Plan], now: datetime) -> None:
    rows = (row for cut, counts in plans for row in _rows(cut, counts, now))
    values = (_as_json(cut, counts) for cut, counts in plans)
    nothing = "nothing was ever appended: nothing to trim"
    print_rows(output, _COLUMNS, rows, values, fields=_PLAN_FIELDS, nothing=nothing)
    for cut, _ in plans:
        for holder in cut.held_by if output.is_table else ():
            if deadness_of(holder):
                from_ = holder.keeps_from
                all_of_it = from_ <= START
                what = "everything back" if all_of_it else f"back all from {from_} on"
                say(f"{holder.name} holds {what}: {remedy_of(holder)}")


def _rows(cut: Cut[PartitionStream], counts: Counts, now: datetime) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for holder in cut.holders:
        from_ = holder.keeps_from
        rows.append(
            (
                holder.name,
                cut.stream.partition,
                holder.stands_at if holder.stands_at is not None else "nowhere",
                from_ if from_ > START else "start",
                age_of(from_, now),
                None if holder.is_passed_over else _counted(counts[from_]),
                _state(cut, holder),
            )
        )
    age = span(round(now.timestamp() - cut.floor.ms / 1_000))
    partition = cut.stream.partition
    rows.append(("age", partition, None, cut.floor, age, _counted(counts[cut.floor]), None))
    return rows


def _state(cut: Cut[PartitionStream], holder: Holder) -> Text:
    if holder.is_passed_over:
        return Text("passed over", "dim")
    told = deadness_of(holder)
    pending = f"{holder.pending} pending" if holder.pending else ""
    holds = "holds back" if holder in cut.held_by else ""
    return Text(", ".join(filter(None, (told, pending, holds))), "red" if holds else "")


def _counted(count: int | None) -> str | int:
    return f">={COUNTED_MAX}" if count is None else count


_TRIMMED_FIELDS = ("partition", "removed", "cut")


async def _carry_out(
    log: EventLog, rule: RetentionRule, plans: Sequence[_Plan], *, output: OutputForm, yes: bool
) -> None:
    going = [(cut, counts[cut.at]) for cut, counts in plans if counts[cut.at] != 0]
    confirm([_change(cut, count) for cut, count in going], yes=yes or not going)
    told = []
    for cut, _ in going:
        now_ms, partition = _ms(await now_of(log.server)), cut.stream.partition
        removed, at = 0, cut.at
        async for step in Trim(log, partition, rule).steps(now_ms):
            removed, at = removed + step.removed, step.cut
        told.append({"partition": partition, "removed": removed, "cut": str(at)})
        if output.is_table:
            click.echo(f"{cut.stream.name}: {removed} entries removed, kept from {at} on")
    if not output.is_table:
        print_values(output, told, _TRIMMED_FIELDS)
    elif not going:
        say("nothing to trim")


def _change(cut: Cut[PartitionStream], count: int | None) -> tuple[str, str, str]:
    stream = cut.stream
    left = (
        f"{stream.length - count}"
        if count is not None
        else f"{stream.length - COUNTED_MAX} or less"
    )
    at = f"{time_of(cut.at):%Y-%m-%d %H:%M:%S} UTC"
    return (
        stream.name,
        f"{stream.length} entries from {stream.first} on",
        f"{left} entries from {cut.at} on ({at})",
    )


_PLAN_FIELDS = (
    *("partition", "stream", "entries", "first", "cut"),
    *("removed", "floor", "held_by", "readers"),
)


def _as_json(cut: Cut[PartitionStream], counts: Counts) -> dict[str, Any]:
    stream = cut.stream
    return {
        "partition": stream.partition,
        "stream": stream.name,
        "entries": stream.length,
        "first": None if stream.first is None else str(stream.first),
        "cut": str(cut.at),
        "removed": counts[cut.at],
        "floor": str(cut.floor),
        "held_by": [holder.name for holder in cut.held_by],
        "readers": [_reader_as_json(holder, counts) for holder in cut.holders],
    }


def _reader_as_json(holder: Holder, counts: Counts) -> dict[str, Any]:
    return {
        "name": holder.name,
        "stands_at": None if holder.stands_at is None else str(holder.stands_at),
        "keeps_from": str(holder.keeps_from),
        "pending": holder.pending,
        "lets_go": None if holder.is_passed_over else counts[holder.keeps_from],
        "is_missing": holder.is_missing,
        "is_dead": is_dead(holder),
        "is_passed_over": holder.is_passed_over,
    }
