"""Read a health check as a person or a model's author writes it."""

import ssl
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from events.catalogue.health_check import HealthCheck, health_check_from
from events.entry.codec import invalid_event
from events.limits import place_of

DEFAULT_PATH = "/health"
"""The path that is requested where none is given."""

FIELDS = (*HealthCheck.__struct_fields__, "enable")
"""What may be said of a health check: its fields, and whether there is one at all."""

TWICE = "it is given twice, the limit is once"

_ENABLE = {"true": True, "yes": True, "on": True, "1": True} | dict.fromkeys(
    ("false", "no", "off", "0"), False
)
_PROBLEMS_MAX = 100


class InvalidHealthCheckError(ValueError):
    """Fields of a health check are wrong; the message names the first and its value.

    *problems* has all of them: what is wrong with each field, by its name.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        field, problem = next(iter(problems.items()))
        super().__init__(f"{field}: {problem}")
        self.problems = problems
        self.field = field
        self.problem = problem


def requested_health_check(given: Mapping[str, Any]) -> tuple[HealthCheck | None, dict[str, Any]]:
    """Return the health check that *given* asks for, and what means nothing in it, by its name.

    Keys may have hyphens, null means the default. None is returned where it is switched off, or
    where nothing is given.

    Raises:
        InvalidHealthCheckError: Fields break their limits.
    """
    problems: dict[str, str] = {}
    unknown: dict[str, Any] = {}
    known = _known_fields(given, HealthCheck, "", problems, unknown)
    enable = known.pop("enable", True)
    enabled = _ENABLE.get(str(enable).lower())
    if enabled is None:
        problems["enable"] = f"{enable!r} is not allowed, it is true or false"
    if not given or enabled is False:
        if problems:
            raise InvalidHealthCheckError(problems)
        return None, unknown
    check = _health_check(known, problems)
    if problems or check is None:
        raise InvalidHealthCheckError(problems)
    return check, unknown


def _known_fields(
    given: Mapping[str, Any],
    kind: type[msgspec.Struct],
    place: str,
    problems: dict[str, str],
    unknown: dict[str, Any],
) -> dict[str, Any]:
    """Return the fields of *kind* that are given, without nulls; note what else is."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(kind)}
    names = FIELDS if kind is HealthCheck else tuple(kinds)
    found: dict[str, Any] = {}
    seen = set()
    for key, value in given.items():
        name = str(key).replace("-", "_")
        if name in seen:
            problems[f"{place}{name}"] = TWICE
        elif name not in names:
            unknown[f"{place}{name}"] = value
        elif value is not None:
            part = _part_of(kinds.get(name))
            is_part = part is not None and isinstance(value, dict)
            found[name] = (
                _known_fields(value, part, f"{place}{name}.", problems, unknown)
                if is_part and part is not None
                else value
            )
        seen.add(name)
    return found


def _part_of(kind: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 - the type of a field
    """Return the struct that a field holds, None where it holds none."""
    kinds = (kind, *get_args(kind))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)


def _health_check(fields: dict[str, Any], problems: dict[str, str]) -> HealthCheck | None:
    """Read *fields*; whatever is wrong is noted and left out, until the others can be read."""
    for _ in range(_PROBLEMS_MAX):
        is_http = fields.get("kind", "http") == "http"
        given = {"path": DEFAULT_PATH, **fields} if is_http else fields
        try:
            check = health_check_from(given)
        except msgspec.ValidationError as error:
            field, problem = _wrong_field(error, given)
        else:
            return _with_authorities(check, problems)
        # What lacks a field that was left out is no mistake of its own.
        if not any(noted.startswith(f"{field}.") for noted in problems):
            problems[field] = problem
        if not _leave_out(fields, field):
            return None
    return None


def _wrong_field(error: msgspec.ValidationError, given: Mapping[str, Any]) -> tuple[str, str]:
    """Return which field is wrong, and how; a rule between fields names one itself."""
    place, problem = place_of(error)
    named, _, rest = problem.partition(": ")
    if rest and not place:
        return named, rest
    if rest and isinstance(given.get(place), Mapping):
        return f"{place}.{named}", rest
    wrong = invalid_event(error, given)
    return wrong.field, wrong.problem


def _with_authorities(check: HealthCheck, problems: dict[str, str]) -> HealthCheck:
    """Note certificates that are none, which every probe would fail for."""
    if check.tls is not None and check.tls.ca is not None:
        try:
            ssl.create_default_context(cadata=check.tls.ca)
        except ssl.SSLError as error:
            why = error.reason or error
            problems["tls.ca"] = f"it has no certificates that can be read: {why}"
    return check


def _leave_out(fields: dict[str, Any], field: str) -> bool:
    """Remove what is at *field*, or else the field that it is in; False if there is neither."""
    name, _, inner = field.partition(".")
    name = name.partition("[")[0]
    if name not in fields:
        return False
    within = fields.pop(name)
    if isinstance(within, dict) and inner in within:
        fields[name] = {key: value for key, value in within.items() if key != inner}
    return True
