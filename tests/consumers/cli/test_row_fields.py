"""The rows that commands print have the fields that `docs/json.md` tells of, and those alone."""

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from consumers.cli.archive.table import PART_KINDS, SegmentRow
from consumers.cli.dead.dead import DeadRow
from consumers.cli.dead.requeue import DroppedRow, RequeuedRow
from consumers.cli.endpoints.endpoint_row import EndpointRow, LiveEndpointRow
from consumers.cli.endpoints.mismatches import ComparisonRow
from consumers.cli.endpoints.trace import StepRow
from consumers.cli.endpoints.why import WhyRow
from consumers.cli.events.stats import CountRow
from consumers.cli.events.transfer import Exported, Imported
from consumers.cli.groups.groups import MeasuredGroupRow
from consumers.cli.groups.pending import PendingRow
from consumers.cli.groups.show import GroupDetailsRow, LossRow
from consumers.cli.health.table import HealthRow
from consumers.cli.model_definition.definition_row import DefinitionRow
from consumers.cli.replay.past_states import ChangedRow
from consumers.cli.replay.playback import PlayedRow
from consumers.cli.replay.rebuilt_table import RebuiltRow
from consumers.cli.replay.snapshot import ListedRow, TakenRow
from consumers.cli.rollout.revision_status import RevisionRow
from consumers.cli.sessions.suggest_removal import RemovalRow
from consumers.cli.streams.table import StreamDetailsRow, StreamRow
from consumers.cli.streams.trim import PlanRow, TrimmedRow
from consumers.cli.terminal.entry_json import EntryValue
from consumers.cli.terminal.output_form import Kind, json_fields
from consumers.doctor.finding import Finding
from consumers.settings import SettingInForce
from tests.consumers.cli.test_json_fields import DOCUMENT, RUNS

Shape = Literal["object", "list", "one value", "any"]

ROWS: dict[str, Kind[Any]] = {
    "events tail": EntryValue,
    "events range": EntryValue,
    "events grep": EntryValue,
    "events stats": CountRow,
    "streams ls": StreamRow[int],
    "streams show": StreamDetailsRow,
    "streams trim --dry-run": PlanRow,
    "streams trim": TrimmedRow,
    "groups ls": MeasuredGroupRow,
    "groups show": GroupDetailsRow,
    "groups pending": PendingRow,
    "groups losses": LossRow,
    "dead ls": DeadRow,
    "dead show": DeadRow,
    "dead requeue": RequeuedRow,
    "dead drop": DroppedRow,
    "events trace": StepRow,
    "endpoints ls": LiveEndpointRow,
    "endpoints show": LiveEndpointRow,
    "endpoints why": WhyRow,
    "endpoints rollout --status": RevisionRow,
    "routes suggest-removal": RemovalRow,
    "health ls": HealthRow,
    "health show": HealthRow,
    "doctor": Finding,
    "config show": SettingInForce,
    "model-definition check": DefinitionRow,
    "archive ls": PART_KINDS,
    "archive check": PART_KINDS,
    "archive run": SegmentRow,
    "snapshot ls": ListedRow,
    "snapshot take": TakenRow,
    "snapshot restore": RebuiltRow,
    "events export": Exported,
    "events import-log": Imported,
    "replay rebuild": RebuiltRow,
    "replay rollback": RebuiltRow,
    "replay run": PlayedRow,
    "replay verify": ComparisonRow,
    "replay diff": ChangedRow,
    "replay show": EndpointRow,
}
"""The rows of each command; `events show` alone prints an entry with more beside it."""


def documented(path: str) -> dict[str, str]:
    """Return the fields of a command with what the document says of each."""
    [section] = [
        text
        for title, _, text in (part.partition("\n") for part in DOCUMENT.split("\n## ")[1:])
        if path in title.split(", ")
    ]
    pairs = re.findall(r"^\| ([a-z0-9_\[\].]+) \| (.*) \|$", section, re.MULTILINE)
    return {name: meaning for name, meaning in pairs if name != "field"}


def types_of(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a struct or a typed dictionary
    if not issubclass(get_origin(kind) or kind, msgspec.Struct):
        return get_type_hints(kind)
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def declared(kind: Any, prefix: str = "") -> dict[str, Shape]:  # noqa: ANN401 - see above
    """Return the fields that rows of *kind* can have, named as in the document.

    What a row within another leaves out, the one around it says.
    """
    found: dict[str, Shape] = {}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    types = {name: hint for one in kinds for name, hint in types_of(one).items()}
    for name in json_fields(get_origin(kind) or kind):
        if prefix and msgspec.UnsetType in get_args(types[name]):
            continue
        inner = bare(types[name])
        [item] = get_args(inner) if get_origin(inner) is list else [None]
        if is_struct(item):
            found |= declared(item, f"{prefix}{name}[].")
        elif is_struct(inner) and name != "comparison":
            found |= declared(inner, f"{prefix}{name}.")
        else:
            found[prefix + name] = shape_of(inner)
    return found


def is_struct(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def bare(hint: Any) -> Any:  # noqa: ANN401 - a type
    """Return the type without what says that it can be null or be left out."""
    if get_origin(hint) is Annotated:
        return bare(get_args(hint)[0])
    if get_origin(hint) in {Union, UnionType}:
        kept = [one for one in get_args(hint) if one not in {NoneType, msgspec.UnsetType}]
        return bare(kept[0]) if len(kept) == 1 else hint
    return hint


def shape_of(hint: Any) -> Shape:  # noqa: ANN401 - a type
    if hint is Any:
        return "any"
    if get_origin(hint) is dict or is_struct(hint):
        return "object"
    return "list" if get_origin(hint) is list else "one value"


def told_shape(meaning: str) -> Shape:
    told = meaning.partition(":")[0]
    return told if told in {"object", "list"} else "one value"  # type: ignore[return-value]


@pytest.mark.parametrize("path", ROWS)
def test_the_fields_of_a_row_are_those_that_are_documented(path: str) -> None:
    assert declared(ROWS[path]).keys() == documented(path).keys()


@pytest.mark.parametrize("path", ROWS)
def test_what_holds_objects_or_lists_is_documented_as_such(path: str) -> None:
    told = {name: told_shape(meaning) for name, meaning in documented(path).items()}
    shapes = declared(ROWS[path])
    assert {n: s for n, s in shapes.items() if s != "any"} == {
        n: s for n, s in told.items() if shapes[n] != "any"
    }


def test_the_rows_of_every_other_command_are_checked() -> None:
    assert RUNS.keys() - ROWS.keys() == {"events show"}
