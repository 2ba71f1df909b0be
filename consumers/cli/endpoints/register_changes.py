"""The change lines: what became of registers, in words."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from consumers.cli.endpoints.mismatches import shown, value
from consumers.cli.terminal.output import shown_id
from events.entry.entry_id import START, EntryId
from projections.replay.registers import Difference, Register


def in_words(differences: Sequence[Difference], *, wide: bool) -> list[tuple[str, EntryId]]:
    """Return a line for each part that changed, with the entry of the event that did it.

    A *wide* line has whole ids.
    """
    lines: list[tuple[str, EntryId]] = []
    for route_id, group in groupby(differences, key=lambda one: one.register.route_id):
        of_route = list(group)
        if route_id is None:
            lines += [(_line(one), one.register.at) for one in of_route if _is_new(one)]
            continue
        name = f"route {shown_id(route_id, wide=wide)}"
        if all(one.before is None or value(one.after) is None for one in of_route):
            lines.append((f"{name} {_came_or_went(of_route)}", _newest(of_route)))
            continue
        lines += [(f"{name} {_line(one)}", one.register.at) for one in of_route if _is_new(one)]
    return lines


class ChangeRow(msgspec.Struct, frozen=True):
    """What became of one register; a value is null where it was not there."""

    register: str
    before: Any
    after: Any
    by: EntryId | None


def change_rows(differences: Iterable[Difference]) -> list[ChangeRow]:
    """Return them for a program."""
    return [
        ChangeRow(
            one.register.path,
            value(one.before),
            value(one.after),
            one.register.at if one.register.at > START else None,
        )
        for one in differences
        if _is_new(one)
    ]


def _is_new(one: Difference) -> bool:
    """Said again is no change for a person: another event set the same value."""
    return value(one.before) != value(one.after)


def _line(one: Difference) -> str:
    return f"{one.register.name.replace('_', ' ')}: {_said(one.before)} -> {_said(one.after)}"


def _said(register: Register | None) -> str:
    return "none" if register is None or register.value is None else shown(register)


def _came_or_went(differences: Sequence[Difference]) -> str:
    if all(value(one.after) is None for one in differences):
        return "gone"
    said = {one.register.name: one.register.value for one in differences}
    if not said.get("present"):
        return f"heard of: {said.get('health', '')}".rstrip(": ").replace("_", " ")
    place = f"{said['kernel_host']}:{said['kernel_port']}" if said.get("kernel_host") else None
    told = [place, said.get("status"), said.get("health"), _weight(said)]
    return "added: " + ", ".join(str(one).replace("_", " ") for one in told if one)


def _weight(said: dict[str, Any]) -> str | None:
    return f"weight {said['traffic_ratio']:g}" if "traffic_ratio" in said else None


def _newest(differences: Sequence[Difference]) -> EntryId:
    return max(one.register.at for one in differences)
