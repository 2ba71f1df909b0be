"""Reads the parts of a definition, such as a model's, and notes every mistake with its place."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import UNSET

from events.catalogue.health_check import HealthCheck
from events.entry.codec import invalid_event
from events.plain_yaml import Place
from producers.model_definitions.requested_health_check import (
    TWICE,
    InvalidHealthCheckError,
    requested_health_check,
)


class DefinitionPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a definition: fields by name.

    Attributes:
        extra: The keys that are no field of the part, as they were given.
    """

    aliases: ClassVar[Mapping[str, str]] = {}
    """Other names that a field may have."""

    takes_any: ClassVar[bool] = False
    """Whether further keys are as good as its fields."""

    extra: dict[str, Any] = {}


Part = TypeVar("Part", bound=DefinitionPart)


class DefinitionProblem(msgspec.Struct, frozen=True):
    """What is wrong with a definition, or looks wrong, and where.

    Attributes:
        severity: A `mistake` makes the definition unusable; a `warning` does not.
        field: The field, such as `models[0].service.port`; empty for the whole definition.
        problem: What is wrong with it.
        line: The line of the file where the field stands, from 1; None where that is not known.
        column: The column where it begins, from 1.
    """

    severity: Literal["mistake", "warning"]
    field: str
    problem: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        at = "" if self.line is None else f" (line {self.line}, column {self.column})"
        return (f"{self.field}: " if self.field else "") + self.problem + at


class DefinitionReader:
    """Reads the parts of one definition; *places* says where its values stand.

    A key may be written with hyphens or underscores. Null means the default. An unknown key is kept
    in the part's `extra`, and named in *unused*.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self.mistakes: list[DefinitionProblem] = []
        self.unused: list[str] = []
        self._places = places

    def problem(
        self, severity: Literal["mistake", "warning"], field: str, problem: str
    ) -> DefinitionProblem:
        """Return a problem of *field*, with its place, or that of the part which lacks it."""
        path = field.replace("-", "_")
        while path and path not in self._places:
            path = path.rpartition(".")[0]
        line, column = self._places.get(path, (None, None))
        return DefinitionProblem(severity, field, problem, line, column)

    def part(self, given: object, kind: type[Part], place: str) -> Part | None:
        """Return *given* as a part of that *kind*; None where anything in it is a mistake."""
        if not isinstance(given, dict):
            self._value(given, kind, place)
            return None
        before = len(self.mistakes)
        kinds = {field.name: field.type for field in msgspec.structs.fields(kind)}
        fields: dict[str, Any] = {}
        extra: dict[str, object] = {}
        for key, value in given.items():
            name = str(key).replace("-", "_")
            within = f"{place}.{name}".lstrip(".")
            name = kind.aliases.get(name, name)
            if name not in kinds or name == "extra":
                extra[str(key)] = value
                self.unused += [] if kind.takes_any else [f"{place}.{key}".lstrip(".")]
            elif name in fields:
                self._mistake(within, TWICE)
            elif HealthCheck in get_args(kinds[name]) and isinstance(value, dict):
                fields[name], unknown = self._health_check(value, within)
                extra |= {name: unknown} if unknown else {}
            else:
                fields[name] = UNSET if value is None else self._field(value, kinds[name], within)
        fields = {name: value for name, value in fields.items() if value is not UNSET}
        for field in msgspec.structs.fields(kind):
            if field.required and field.name not in fields:
                self._mistake(place, f"Object missing required field `{field.name}`")
        return kind(**fields, extra=extra) if len(self.mistakes) == before else None

    def _field(self, given: object, kind: Any, place: str) -> object:  # noqa: ANN401 - a field's type
        """Return the value of a field; None where it is a mistake."""
        part = next((one for one in (kind, *get_args(kind)) if _is_part(one)), None)
        if part is None:
            return self._value(given, kind, place)
        if get_origin(kind) is not list:
            return self.part(given, part, place)
        if not isinstance(given, list):
            return self._value(given, list[Any], place)
        return [self.part(item, part, f"{place}[{number}]") for number, item in enumerate(given)]

    def _health_check(
        self, given: Mapping[str, Any], place: str
    ) -> tuple[HealthCheck | None, dict[str, Any]]:
        try:
            check, unknown = requested_health_check(given)
        except InvalidHealthCheckError as error:
            for field, problem in error.problems.items():
                self._mistake(f"{place}.{field}", problem)
            return None, {}
        self.unused += [f"{place}.{name}" for name in unknown]
        return check, unknown

    def _value(self, given: object, kind: Any, place: str) -> Any:  # noqa: ANN401 - of any type
        """Return *given* as a value of that type."""
        try:
            converted = msgspec.convert({"value": given}, _holder_of(kind), strict=False)
        except msgspec.ValidationError as error:
            wrong = invalid_event(error, {"value": given})
            self._mistake(f"{place}{wrong.field.removeprefix('value')}", wrong.problem)
            return None
        return converted.value  # type: ignore[attr-defined]

    def _mistake(self, field: str, problem: str) -> None:
        self.mistakes.append(self.problem("mistake", field, problem))


def _is_part(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, DefinitionPart)


@cache
def _holder_of(kind: Any) -> type[msgspec.Struct]:  # noqa: ANN401 - a field's type
    """Return a struct with one field of that type: its errors name what is wrong in the value."""
    return msgspec.defstruct("Holder", [("value", kind)])
