"""The mismatch table: where a live document differs from its events, register by register."""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.cli.terminal.output import OutputForm, print_table, printable
from consumers.cli.terminal.table import Column
from consumers.cli.terminal.talk import say
from events.entry.entry_id import START, EntryId
from projections.projection import Projection
from projections.replay.comparison import Comparison, Mismatch
from projections.replay.registers import Difference, Register, differences
from projections.replay.source import Source, find_entries

COLUMNS = (
    Column("ENDPOINT"),
    Column("REGISTER", folds=True),
    Column("LIVE", folds=True),
    Column("FROM ITS EVENTS", folds=True),
    Column("SET BY", is_below=True),
    Column("EVENT", is_below=True),
)


PRINTED_MAX = 1_000
"""Registers that are printed: who sees more of them than that looks at none."""


async def print_mismatches(
    output: OutputForm, log: Source, partition: int, comparison: Comparison
) -> None:
    """Print each register that differs, with the event that last set it."""
    found = [
        (mismatch.endpoint_id, one)
        for mismatch in comparison.mismatches
        for one in _differences(mismatch)
    ]
    printed = found[:PRINTED_MAX]
    names = await names_of_events(log, partition, (one.register.at for _, one in printed))
    rows = (
        (
            endpoint_id,
            one.register.path,
            shown(one.before),
            shown(one.after),
            one.register.at if one.register.at > START else None,
            names.get(one.register.at),
        )
        for endpoint_id, one in printed
    )
    if printed:
        print_table(output, COLUMNS, rows)
    if len(found) > len(printed):
        say(f"{len(found) - len(printed)} more registers differ: -o json has all")
    for endpoint_id in comparison.undecided:
        why = "events of it were not settled in time"
        say(f"endpoint {endpoint_id} was not compared: {why}")


COMPARISON_FIELDS = (
    *("projection", "generation", "position"),
    *("endpoints", "differences", "undecided"),
)


def mismatch_values(
    projection: Projection[Any], comparison: Comparison | None
) -> dict[str, Any] | None:
    """Return the `COMPARISON_FIELDS` for a program."""
    if comparison is None:
        return None
    return {
        "projection": projection.name,
        "generation": comparison.generation,
        "position": str(comparison.position),
        "endpoints": comparison.endpoints,
        "differences": [
            {
                "endpoint_id": str(mismatch.endpoint_id),
                "register": one.register.path,
                "live": value(one.before),
                "folded": value(one.after),
                "set_by": str(one.register.at) if one.register.at > START else None,
            }
            for mismatch in comparison.mismatches
            for one in _differences(mismatch)
        ],
        "undecided": [str(endpoint_id) for endpoint_id in comparison.undecided],
    }


def _differences(mismatch: Mismatch) -> Iterable[Difference]:
    return differences(mismatch.live, mismatch.folded, with_bookkeeping=True)


def value(register: Register | None) -> object:
    """Return what a register says, None where it is not there."""
    return None if register is None else register.value


def shown(register: Register | None) -> str:
    """Return what a register says for a person."""
    if register is None:
        return "not there"
    said = register.value
    return printable(said if isinstance(said, str) else msgspec.json.encode(said).decode())


async def names_of_events(
    log: Source, partition: int, entry_ids: Iterable[EntryId]
) -> dict[EntryId, str]:
    """Return the types of the events at *entry_ids*, as far as `find_entries` finds them."""
    return {
        at: printable(entry.fields.get(b"name", b"?").decode("utf-8", "replace"))
        for at, entry in (await find_entries(log, partition, entry_ids)).items()
    }
