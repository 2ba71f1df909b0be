"""Limits of fields: declared once with `msgspec.Meta`, checked and worded the same everywhere."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

_PLACE = re.compile(r"^(?P<problem>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>.*)`)?$", re.DOTALL)
_LIMIT = re.compile(r"Expected `\w+` (?P<length>of length )?(?P<sign>[<>]=?) (?P<limit>\S+)")
_WORDS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_TYPE = re.compile(r"Expected `(?P<wanted>[\w |]+)`, got `(?P<found>[\w]+)`")
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "fields by name",
    "null": "null",
}
_PATTERN = re.compile(r"Expected `str` matching regex .*\(\?#(?P<words>[^)]+)\).*")


class Limited(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A struct that checks the limits of its fields however it is constructed.

    msgspec checks `Meta` only when it decodes; this class also checks it when a program calls the
    constructor or `replace`. A subclass with rules between its fields checks them in a
    `__post_init__` that calls this one first.

    Attributes:
        SECRETS: How a field is shown that is a secret, or may have one in it.

    Raises:
        ValueError: A field breaks its limit; the message names the field, the limit and the value.
    """

    SECRETS: ClassVar[Mapping[str, Callable[[Any], object]]] = MappingProxyType({})

    def __post_init__(self) -> None:
        for name, kind in _field_types(type(self)):
            value = getattr(self, name)
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                _, problem = place_of(error)
                raise ValueError(problem_of(name, problem, value)) from None

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        values = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [
            (name, self.SECRETS[name](value) if value and name in self.SECRETS else value)
            for name, value in values
        ]


@cache
def _field_types(kind: type[Limited]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.type) for field in msgspec.structs.fields(kind))


def problem_of(name: str, problem: str, value: object) -> str:
    """Return msgspec's *problem* as a sentence: "block_ms must be at least 10, got 0".

    The value of a field is shown only if it is a number out of its range: another field may
    hold a secret. A pattern says what it asks for in a comment of its own, `(?#...)`.
    """
    limit = _LIMIT.fullmatch(problem)
    if limit is None:
        return _unfitting(name, problem)
    bound = f"{_WORDS[limit['sign']]} {limit['limit'].removesuffix('.0')}"
    if limit["length"]:
        size = len(value) if isinstance(value, str | list | tuple) else "another"
        return f"{name} must have a length of {bound}, got {size}"
    return f"{name} must be {bound}, got {value}"


def in_words(problem: str) -> str:
    """Return msgspec's *problem* without the regular expression of a pattern."""
    pattern = _PATTERN.fullmatch(problem)
    return problem if pattern is None else f"it must {pattern['words']}"


def _unfitting(name: str, problem: str) -> str:
    """Return a problem of type or form as a sentence."""
    types, pattern = _TYPE.fullmatch(problem), _PATTERN.fullmatch(problem)
    if pattern is not None:
        return f"{name} must {pattern['words']}"
    if types is None:
        return f"{name}: {problem}"
    wanted = [_TYPES.get(one, one) for one in types["wanted"].split(" | ") if one != "null"]
    return f"{name} must be {' or '.join(wanted)}, got {_TYPES.get(types['found'], types['found'])}"


def place_of(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the path of the field that *error* is about, "" for all of it, and the problem."""
    parts = _PLACE.match(str(error))
    return ("", str(error)) if parts is None else (parts["path"] or "", parts["problem"])


def value_at(given: Any, path: str) -> Any:  # noqa: ANN401 - whatever somebody gave
    """Return the value at *path* in *given*; raise LookupError if there is none."""
    value = given
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            value = value[int(step)] if isinstance(value, list | tuple) else value[step]
        except (TypeError, ValueError):
            raise LookupError(path) from None
    return value


def is_http_url(url: str) -> bool:
    """Whether *url* has the scheme http or https, a host, and no impossible port."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
