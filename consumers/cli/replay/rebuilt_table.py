"""Prints what a rebuild made live in each partition, and how it differs from before."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import msgspec
from anyio import CancelScope

from consumers.cli.endpoints.mismatches import (
    REBUILT,
    ComparisonRow,
    Sides,
    comparison_row,
    print_mismatches,
)
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.output import OutputForm, print_rows
from consumers.cli.terminal.table import Column, Columns
from events.entry.entry_id import EntryId
from projections.errors import ProjectionsError
from projections.projection import Projection
from projections.replay.folding import LeftOut
from projections.replay.partition_history import Source
from projections.replay.rebuild import Rebuilt


class RebuiltRow(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rebuild in one partition, compared with the previous generation."""

    phase: Literal["done"] = "done"
    partition: int
    before: int | None
    generation: int
    position: EntryId
    entries: int
    endpoints: int
    comparison: ComparisonRow | None
    swap_tries: int
    swap_s: float
    unreadable: int
    failed: int
    unknown: int


_COLUMNS: Columns[RebuiltRow] = (
    Column("PARTITION", lambda row: row.partition, folds=True),
    Column("BEFORE", lambda row: row.before or "none", folds=True),
    Column("LIVE", lambda row: row.generation, folds=True),
    Column("POSITION", lambda row: row.position, folds=True),
    Column("ENTRIES", lambda row: row.entries, folds=True),
    Column("DOCUMENTS", lambda row: row.endpoints, folds=True),
    Column("SWAP", lambda row: f"{row.swap_s * 1_000:.1f} ms", folds=True),
    Column("DIFFER", lambda row: _differ(row.comparison), folds=True),
)


@asynccontextmanager
async def printing_rebuilt(
    log: Source,
    projection: Projection[Any],
    partitions: Sequence[int],
    output: OutputForm,
    sides: Sides = REBUILT,
) -> AsyncIterator[dict[int, Rebuilt]]:
    """Print the results that the block adds, by partition, also if it ends early."""
    done: dict[int, Rebuilt] = {}
    try:
        yield done
    finally:
        left = [str(one) for one in partitions if one not in done]
        if left and len(partitions) > 1:
            say(f"left as it was: partition {', '.join(left)}")
        if done:
            with CancelScope(shield=True):
                await _print(log, projection, done, output, sides)


async def _print(
    log: Source,
    projection: Projection[Any],
    done: Mapping[int, Rebuilt],
    output: OutputForm,
    sides: Sides,
) -> None:
    rows = [_row(projection, partition, one) for partition, one in done.items()]
    print_rows(output, RebuiltRow, rows, _COLUMNS)
    if output.is_table:
        for partition, one in done.items():
            _tell_left_out(partition, one.left_out)
            if one.comparison is not None:
                await print_mismatches(output, log, partition, one.comparison, sides)


def _row(projection: Projection[Any], partition: int, rebuilt: Rebuilt) -> RebuiltRow:
    found = rebuilt.comparison
    comparison = None if found is None else comparison_row(projection, found)
    facts = msgspec.structs.asdict(rebuilt) | {"comparison": comparison}
    left: LeftOut = facts.pop("left_out")
    unknown = sum(left.unknown.values())
    return RebuiltRow(
        partition=partition,
        unreadable=left.unreadable,
        failed=left.failed,
        unknown=unknown,
        **facts,
    )


def _tell_left_out(partition: int, left: LeftOut) -> None:
    """Say what the new generation lacks: it lies before the group, so it is no dead letter."""
    unknown = sum(left.unknown.values())
    found = {
        "entries that cannot be read": left.unreadable,
        "events that could not be folded": left.failed,
        f"entries of types not known here ({', '.join(sorted(left.unknown))})": unknown,
    }
    if told := [f"{count} {what}" for what, count in found.items() if count]:
        say(f"partition {partition}: left out: {', '.join(told)}")


def _differ(comparison: ComparisonRow | None) -> str:
    if comparison is None:
        return "not compared"
    count = str(comparison.mismatches)
    return f"{count}, {len(comparison.undecided)} undecided" if comparison.undecided else count


class Failures:
    """Collects the errors of a command that continues with the next partition."""

    def __init__(self) -> None:
        self._errors: list[ProjectionsError] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the error in which the block ends."""
        try:
            yield
        except ProjectionsError as error:
            self._errors.append(error)

    def tell(self) -> None:
        """Print all errors but the first, then raise the first, if there is any."""
        for error in self._errors[1:]:
            say(f"and: {error}")
        if self._errors:
            raise self._errors[0]
