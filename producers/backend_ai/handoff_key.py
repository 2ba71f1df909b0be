"""Name and decode the hand-off keys: in them Backend.AI passes what its events do not carry.

A manager writes the keys (database 2, time to live one hour) before it records that an endpoint's
route list changed. Field names may have underscores or hyphens: Backend.AI's own reader (release
25.15) accepts both.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar
from uuid import UUID

import msgspec

from events.entry import codec
from events.entry.stored_json import UNREADABLE
from producers.errors import ProducersError

KeyKind = Literal[
    "route_connection_info", "health_check_enabled", "health_check_config", "traffic_ratio"
]

Read = TypeVar("Read")

_UUID = rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_KEY = re.compile(
    rb"endpoint\.(?P<endpoint>" + _UUID + rb")\."
    rb"(?:session\.(?P<session>" + _UUID + rb")\.(?P<ratio>traffic_ratio)"
    rb"|(?P<kind>route_connection_info|health_check_enabled|health_check_config))"
)


class HandoffKey(msgspec.Struct, frozen=True):
    """One hand-off key; only the key of a traffic ratio has a *session_id*."""

    endpoint_id: UUID
    kind: KeyKind
    session_id: UUID | None = None

    @classmethod
    def parse(cls, key: bytes) -> Self | None:
        """Parse a key's name; None where it is not a hand-off key."""
        parts = _KEY.fullmatch(key)
        if parts is None:
            return None
        return msgspec.convert(
            {
                "endpoint_id": parts["endpoint"].decode(),
                "kind": (parts["kind"] or parts["ratio"]).decode(),
                "session_id": parts["session"] and parts["session"].decode(),
            },
            cls,
        )

    def __str__(self) -> str:
        session = "" if self.session_id is None else f"session.{self.session_id}."
        return f"endpoint.{self.endpoint_id}.{session}{self.kind}"


HandoffValues = Mapping[HandoffKey, bytes]
"""The values of the keys, without those that are missing or have expired."""


class MalformedHandoffError(ProducersError):
    """A hand-off key is missing or is not what Backend.AI writes; the message names key and field.

    The route list that needs the key is refused as a whole, and what is recorded of its endpoint
    stays.
    """

    def __init__(self, key: HandoffKey, problem: str) -> None:
        super().__init__(f"{key}: {problem}")


class MissingHandoffKeyError(MalformedHandoffError):
    """A hand-off key that the route list needs is missing."""

    def __init__(self, key: HandoffKey) -> None:
        super().__init__(key, "the key is not there, or has expired")


ProblemKind = Literal["key_missing", "route_refused", "health_check_refused"]


class HandoffProblem(msgspec.Struct, frozen=True):
    """A part of a hand-off that is missing or broken; what was recorded of that part stays."""

    kind: ProblemKind
    problem: str


def decoded(key: HandoffKey, values: HandoffValues, kind: type[Read]) -> Read:
    """Return the JSON value of *key*.

    Raises:
        MalformedHandoffError: It is missing, or is not of *kind*.
    """
    value = values.get(key)
    if value is None:
        raise MissingHandoffKeyError(key)
    try:
        return msgspec.json.decode(value, type=kind)
    except UNREADABLE as error:
        raise MalformedHandoffError(key, f"{value[:64]!r}: {error}") from None


def underscored(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return *given* with its names as we write them."""
    return {name.replace("-", "_"): value for name, value in given.items()}


def field_problem(error: msgspec.ValidationError, given: Mapping[str, Any]) -> str:
    """Return which field of *given* is broken, its value and its limit."""
    return str(codec.invalid_event(error, given)).removeprefix("value: ")
