"""Prints where live documents differ from their events, register by register."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from consumers.cli.terminal.messages import say
from consumers.cli.terminal.output import OutputForm, print_table, printable
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from events.catalogue.request_headers import masked
from events.entry.entry_id import START, EntryId
from projections.projection import Projection
from projections.replay.comparison import Comparison, Mismatch
from projections.replay.partition_history import Source, find_entries
from projections.replay.registers import Difference, Register, differences


class _MismatchLine(msgspec.Struct, frozen=True):
    """One register that differs, and the type of the event that last set it."""

    endpoint_id: UUID
    difference: Difference
    event: str | None


Sides = tuple[str, str]
"""The headings of the two sides that were compared."""

VERIFIED: Sides = ("LIVE", "FROM ITS EVENTS")
REBUILT: Sides = ("BEFORE", "FROM ITS EVENTS")
ROLLED_BACK: Sides = ("BEFORE", "NOW")


def _columns(sides: Sides) -> Columns[_MismatchLine]:
    before, after = sides
    return (
        Column("ENDPOINT", lambda one: one.endpoint_id),
        Column("REGISTER", lambda one: one.difference.register.path, folds=True),
        Column(before, lambda one: shown(one.difference.before), folds=True),
        Column(after, lambda one: shown(one.difference.after), folds=True),
        Column("SET BY", lambda one: _set_by(one.difference), is_below=True),
        Column("EVENT", lambda one: one.event, is_below=True),
    )


PRINTED_MAX = 1_000
"""Registers that are printed; nobody reads a longer table."""


async def print_mismatches(
    output: OutputForm, log: Source, partition: int, comparison: Comparison, sides: Sides = VERIFIED
) -> None:
    """Print each register that differs, with the event that last set it, under *sides*."""
    found = [
        (mismatch.endpoint_id, one)
        for mismatch in comparison.mismatches
        for one in _differences(mismatch)
    ]
    printed = found[:PRINTED_MAX]
    names = await names_of_events(log, partition, (one.register.at for _, one in printed))
    lines = [
        _MismatchLine(endpoint_id, one, names.get(one.register.at)) for endpoint_id, one in printed
    ]
    if lines:
        print_table(output, _columns(sides), lines)
    if len(found) > len(printed):
        say(f"{len(found) - len(printed)} more registers differ: -o json has all")
    for endpoint_id in comparison.undecided:
        why = "events of it were not settled in time"
        say(f"endpoint {endpoint_id} was not compared: {why}")


class DifferenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One register that differs; a value is null where the register is missing."""

    endpoint_id: UUID
    register: str
    live: Any
    folded: Any
    set_by: EntryId | None


class ComparisonRow(msgspec.Struct, frozen=True, kw_only=True):
    """How a read model differs; *partition* is set unless an enclosing row has it."""

    partition: int | msgspec.UnsetType = msgspec.UNSET
    projection: str
    generation: int
    position: EntryId
    endpoints: int
    differences: list[DifferenceRow]
    undecided: list[UUID]
    mismatches: ForTable[int]


def comparison_row(
    projection: Projection[Any],
    comparison: Comparison,
    partition: int | msgspec.UnsetType = msgspec.UNSET,
) -> ComparisonRow:
    """Return the row of *comparison* for a program."""
    return ComparisonRow(
        partition=partition,
        projection=projection.name,
        generation=comparison.generation,
        position=comparison.position,
        endpoints=comparison.endpoints,
        differences=[
            DifferenceRow(
                endpoint_id=mismatch.endpoint_id,
                register=one.register.path,
                live=value(one.before),
                folded=value(one.after),
                set_by=_set_by(one),
            )
            for mismatch in comparison.mismatches
            for one in _differences(mismatch)
        ],
        undecided=comparison.undecided,
        mismatches=len(comparison.mismatches),
    )


def _set_by(difference: Difference) -> EntryId | None:
    at = difference.register.at
    return at if at > START else None


def _differences(mismatch: Mismatch) -> Iterable[Difference]:
    return differences(mismatch.live, mismatch.folded, with_bookkeeping=True)


def value(register: Register | None) -> object:
    """Return the value of a register as it may be shown, None where it is missing.

    Headers of a health check that may be secrets are masked.
    """
    if register is None:
        return None
    held = register.value
    if register.name == "health_check" and isinstance(held, dict) and held.get("headers"):
        return {**held, "headers": masked(held["headers"])}
    return held


def shown(register: Register | None) -> str:
    """Return the value of a register as a person reads it."""
    if register is None:
        return "not there"
    said = value(register)
    return printable(said if isinstance(said, str) else msgspec.json.encode(said).decode())


async def names_of_events(
    log: Source, partition: int, entry_ids: Iterable[EntryId]
) -> dict[EntryId, str]:
    """Return the types of the events at *entry_ids* that `find_entries` finds."""
    return {
        at: printable(entry.fields.get(b"name", b"?").decode("utf-8", "replace"))
        for at, entry in (await find_entries(log, partition, entry_ids)).items()
    }
