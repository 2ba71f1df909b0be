"""Reads numbers and entry ids from Redis, and notes stray values as findings."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from consumers.doctor.finding import Finding, error
from events.entry.entry_id import EntryId
from events.errors import DamagedValueError, InvalidPositionError
from events.server.reply import whole_number

SHOWN_BYTES = 60
"""Bytes that are shown of a value that cannot be read."""

Value = TypeVar("Value")


class ValueLocation(msgspec.Struct, frozen=True):
    """Where a value is held.

    Attributes:
        about: The subject of a finding about it.
        key: Its key.
        field: Its field, None if the key is not a hash.
        mend: What to do if it cannot be read; to delete it unless given.
    """

    about: str
    key: str
    field: str | None = None
    mend: str = ""

    def __str__(self) -> str:
        return self.key if self.field is None else f"field {self.field} of {self.key}"

    @property
    def to_do(self) -> str:
        """What to do if the value cannot be read."""
        deletion = (
            f"DEL '{self.key}'" if self.field is None else f"HDEL '{self.key}' '{self.field}'"
        )
        return self.mend or f"redis-cli {deletion}"


class Unreadable:
    """Reads values, and notes those that cannot be read.

    Attributes:
        findings: One for each unreadable value.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def number(self, held: bytes | None, place: ValueLocation) -> int | None:
        """Return *held* as a whole number, None if it is missing or not one."""
        return self._read(held, place, whole_number, "a whole number")

    def entry_id(self, held: bytes | None, place: ValueLocation) -> EntryId | None:
        """Return *held* as an entry id, None if it is missing or not one."""
        return self._read(held, place, EntryId.parse, "an entry id")

    def _read(
        self, held: bytes | None, place: ValueLocation, parse: Callable[[bytes], Value], wanted: str
    ) -> Value | None:
        if held is None:
            return None
        try:
            return parse(held)
        except (DamagedValueError, InvalidPositionError):
            shown = held[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
            self.findings.append(
                error(
                    place.about,
                    f"{place} is not {wanted}: somebody else wrote it",
                    repr(shown),
                    to_do=place.to_do,
                )
            )
            return None
