"""Describes changes of registers, in words for a person or as rows for a program."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from consumers.cli.endpoints.mismatches import shown, value
from consumers.cli.terminal.output import shown_id
from events.entry.entry_id import START, EntryId
from projections.replay.registers import Difference, Register


def in_words(differences: Sequence[Difference], *, wide: bool) -> list[tuple[str, EntryId]]:
    """Return a line for each change, with the entry of the event that made it.

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
    """The change of one register; a value is null where the register was missing."""

    register: str
    before: Any
    after: Any
    by: EntryId | None


def change_rows(differences: Iterable[Difference]) -> list[ChangeRow]:
    """Return the changes as rows for a program."""
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


def _is_new(difference: Difference) -> bool:
    """Whether the value changed; another event may have set the same value again."""
    before, after = difference.before, difference.after
    return (before and before.value) != (after and after.value)  # a secret is not shown, but new


def _line(difference: Difference) -> str:
    name = difference.register.name.replace("_", " ")
    return f"{name}: {_shown(difference.before)} -> {_shown(difference.after)}"


def _shown(register: Register | None) -> str:
    return "none" if register is None or register.value is None else shown(register)


def _came_or_went(differences: Sequence[Difference]) -> str:
    if all(value(one.after) is None for one in differences):
        return "gone"
    values = {one.register.name: one.register.value for one in differences}
    if not values.get("present"):
        return f"heard of: {values.get('health', '')}".rstrip(": ").replace("_", " ")
    place = (
        f"{values['kernel_host']}:{values['kernel_port']}" if values.get("kernel_host") else None
    )
    parts = [place, values.get("status"), values.get("health"), _weight(values)]
    return "added: " + ", ".join(str(part).replace("_", " ") for part in parts if part)


def _weight(values: dict[str, Any]) -> str | None:
    return f"weight {values['traffic_ratio']:g}" if "traffic_ratio" in values else None


def _newest(differences: Sequence[Difference]) -> EntryId:
    return max(one.register.at for one in differences)
