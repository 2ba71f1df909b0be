"""Read a health check as a person or a model's author writes it."""

import ssl
from collections.abc import Mapping
from typing import Any

import msgspec

from events.catalogue.health_check import HealthCheck, health_check_from
from events.entry.codec import invalid_event
from events.limits import place_of

DEFAULT_PATH = "/health"
"""The path that is requested where none is given."""

FIELDS = (*HealthCheck.__struct_fields__, "enable")
"""What may be said of a health check: its fields, and whether there is one at all."""

_ENABLE = {"true": True, "yes": True, "on": True, "1": True} | dict.fromkeys(
    ("false", "no", "off", "0"), False
)


class InvalidHealthCheckError(ValueError):
    """A field of a health check is wrong; the message names it and its value."""


def requested_health_check(given: Mapping[str, Any]) -> tuple[HealthCheck | None, list[str]]:
    """Return the health check that *given* asks for, and the keys that mean nothing.

    Keys may have hyphens, null means the default. None is returned where it is switched off, or
    where nothing is given.

    Raises:
        InvalidHealthCheckError: A field breaks its limits.
    """
    fields: dict[str, Any] = {}
    for key, value in given.items():
        name = str(key).replace("-", "_")
        if name in fields:
            raise InvalidHealthCheckError(f"{name}: it is given twice, the limit is once")
        fields[name] = value
    unknown = [name for name in fields if name not in FIELDS]
    known = {name: value for name, value in fields.items() if name in FIELDS and value is not None}
    if not given or not _is_enabled(known.pop("enable", True)):
        return None, unknown
    if known.get("kind", "http") == "http":
        known.setdefault("path", DEFAULT_PATH)
    try:
        check = health_check_from(known)
    except msgspec.ValidationError as error:
        raise InvalidHealthCheckError(_in_words(error, known)) from None
    _check_authorities(check)
    return check, unknown


def _in_words(error: msgspec.ValidationError, given: Mapping[str, Any]) -> str:
    """Return what is wrong, and in which field; rules between fields name one themselves."""
    place, problem = place_of(error)
    if not place:
        return problem
    if isinstance(given.get(place), Mapping):
        return f"{place}.{problem}"
    return str(invalid_event(error, given))


def _check_authorities(check: HealthCheck) -> None:
    """Refuse certificates that are none, which every probe would fail for."""
    if check.tls is None or check.tls.ca is None:
        return
    try:
        ssl.create_default_context(cadata=check.tls.ca)
    except ssl.SSLError as error:
        raise InvalidHealthCheckError(
            f"tls.ca: it has no certificates that can be read: {error.reason or error}"
        ) from None


def _is_enabled(value: object) -> bool:
    """Return what a word for true or false means: YAML 1.2 reads yes and no as text."""
    enabled = _ENABLE.get(str(value).lower())
    if enabled is None:
        raise InvalidHealthCheckError(f"enable: {value!r} is not allowed, it is true or false")
    return enabled
