"""The command that trims the log."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import click
import msgspec
from rich.text import Text

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import partition_option, partitions_of
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    confirm,
    output_option,
    print_table,
    yes_option,
)
from consumers.cli.terminal.output_form import print_values
from consumers.cli.terminal.table import Column, Columns
from consumers.retention.holder_advice import deadness_of, is_dead, is_told, remedy_of
from events.entry.age import age_of, span
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_span, time_of
from events.log.log import EventLog
from events.retention.retention import Cut, Holder, Kind, RetentionRule, read_cut
from events.retention.trim import COUNTED_MAX, Trim, count_before, is_ours
from events.server.server import now_of
from events.streams.partition_stream import PartitionStream

Counts = Mapping[EntryId, int | None]


class ReaderRow(msgspec.Struct, frozen=True, kw_only=True):
    """A reader of a partition, and how many entries it alone would let go."""

    name: str
    stands_at: EntryId | None
    keeps_from: EntryId
    pending: int
    lets_go: int | None
    is_missing: bool
    is_dead: bool
    is_passed_over: bool


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a trim would do to one partition."""

    partition: int
    stream: str
    entries: int
    first: EntryId | None
    cut: EntryId
    removed: int | None
    floor: EntryId
    held_by: list[str]
    readers: list[ReaderRow]


class TrimmedRow(msgspec.Struct, frozen=True):
    """What a trim did to one partition."""

    partition: int
    removed: int
    cut: EntryId


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

    It keeps every entry that a group has not ended, that the archive lacks, that is in no snapshot
    which all projectors of its read model can read, or that is younger than --keep. LETS GO is the
    number of entries that each reader alone would let go; what a group needs is checked once more
    at the moment of the trim.

    \b
    Example: routestream streams trim --keep 7d --dry-run
    """
    kept_s = None if keep is None else parse_span(keep)
    try:
        rule = deployment.settings.retention.rule_of(kept_s, without)
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
    lines = [line for cut, counts in plans for line in _lines(cut, counts)]
    nothing = "nothing was ever appended: nothing to trim"
    if output.is_table:
        print_table(output, _columns(now), lines, nothing=nothing)
    else:
        print_values(output, PlanRow, (_plan_row(cut, counts) for cut, counts in plans))
    for cut, _ in plans:
        for holder in cut.held_by if output.is_table else ():
            if is_told(holder):
                from_ = holder.keeps_from
                all_of_it = from_ <= START
                what = "everything back" if all_of_it else f"back all from {from_} on"
                say(f"{holder.name} holds {what}: {remedy_of(holder)}")


class _HolderLine(msgspec.Struct, frozen=True):
    """A line of the table: what a reader keeps or, without a reader, what is too young."""

    cut: Cut[PartitionStream]
    keeps_from: EntryId
    lets_go: int | str | None
    reader: Holder | None = None


def _lines(cut: Cut[PartitionStream], counts: Counts) -> Iterator[_HolderLine]:
    for holder in cut.holders:
        lets_go = None if holder.is_passed_over else _counted(counts[holder.keeps_from])
        yield _HolderLine(cut, holder.keeps_from, lets_go, holder)
    yield _HolderLine(cut, cut.floor, _counted(counts[cut.floor]))


def _columns(now: datetime) -> Columns[_HolderLine]:
    return (
        Column("READER", lambda one: "age" if one.reader is None else one.reader.name, folds=True),
        Column("PARTITION", lambda one: one.cut.stream.partition, is_number=True),
        Column("STANDS AT", lambda one: _stands_at(one.reader), is_below=True),
        Column("KEEPS FROM", _keeps_from, is_below=True),
        Column("AGE", lambda one: _age(one, now)),
        Column("LETS GO", lambda one: one.lets_go, is_number=True),
        Column("STATE", lambda one: one.reader and _state(one.cut, one.reader), folds=True),
    )


def _stands_at(reader: Holder | None) -> EntryId | str | None:
    if reader is None:
        return None
    return "nowhere" if reader.stands_at is None else reader.stands_at


def _keeps_from(line: _HolderLine) -> EntryId | str:
    return "start" if line.reader and line.keeps_from <= START else line.keeps_from


def _age(line: _HolderLine, now: datetime) -> str | None:
    if line.reader is not None:
        return age_of(line.keeps_from, now)
    return span(round(now.timestamp() - line.keeps_from.ms / 1_000))


def _state(cut: Cut[PartitionStream], holder: Holder) -> Text:
    if holder.is_passed_over:
        return Text("passed over", "dim")
    deadness = deadness_of(holder)
    pending = f"{holder.pending} pending" if holder.pending else ""
    holds = "holds back" if holder in cut.held_by else ""
    return Text(", ".join(filter(None, (deadness, pending, holds))), "red" if holds else "")


def _counted(count: int | None) -> str | int:
    return f">={COUNTED_MAX}" if count is None else count


async def _carry_out(
    log: EventLog, rule: RetentionRule, plans: Sequence[_Plan], *, output: OutputForm, yes: bool
) -> None:
    going = [(cut, counts[cut.at]) for cut, counts in plans if counts[cut.at] != 0]
    confirm([_change(cut, count) for cut, count in going], yes=yes or not going)
    trimmed: list[TrimmedRow] = []
    for cut, _ in going:
        now_ms, partition = _ms(await now_of(log.server)), cut.stream.partition
        removed, at = 0, cut.at
        async for step in Trim(log, partition, rule).steps(now_ms):
            removed, at = removed + step.removed, step.cut
        trimmed.append(TrimmedRow(partition, removed, at))
        if output.is_table:
            click.echo(f"{cut.stream.name}: {removed} entries removed, kept from {at} on")
    if not output.is_table:
        print_values(output, TrimmedRow, trimmed)
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


def _plan_row(cut: Cut[PartitionStream], counts: Counts) -> PlanRow:
    stream = cut.stream
    return PlanRow(
        partition=stream.partition,
        stream=stream.name,
        entries=stream.length,
        first=stream.first,
        cut=cut.at,
        removed=counts[cut.at],
        floor=cut.floor,
        held_by=[holder.name for holder in cut.held_by],
        readers=[_reader_row(holder, counts) for holder in cut.holders],
    )


def _reader_row(holder: Holder, counts: Counts) -> ReaderRow:
    return ReaderRow(
        name=holder.name,
        stands_at=holder.stands_at,
        keeps_from=holder.keeps_from,
        pending=holder.pending,
        lets_go=None if holder.is_passed_over else counts[holder.keeps_from],
        is_missing=holder.is_missing,
        is_dead=is_dead(holder),
        is_passed_over=holder.is_passed_over,
    )
