"""The entry filter: which entries a person wants to see."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Self
from uuid import UUID

import click
import msgspec

from events.keys import partition_of
from events.recorded import Entry
from events.registry import BY_WIRE_NAME

ENDPOINT_CHARACTERS_MIN = 4
"""Of an endpoint's id, to name it by the beginning."""

_UUID_CHARACTERS = 36
_BEGINNING = re.compile(rf"[0-9a-f-]{{{ENDPOINT_CHARACTERS_MIN},{_UUID_CHARACTERS}}}\Z")


class _Addressed(msgspec.Struct):
    endpoint_id: str


_DECODE = msgspec.json.Decoder(_Addressed).decode


class EntryFilter(msgspec.Struct, frozen=True):
    """Entries of these types, or of any where there are none, and of this endpoint."""

    names: tuple[str, ...] = ()
    endpoint: str | None = None

    @classmethod
    def parse(cls, names: Sequence[str], endpoint: str | None) -> Self:
        """Read what was given on the command line.

        Raises:
            click.UsageError: No type has that name, or it is no beginning of an id.
        """
        for name in names:
            if not any(fnmatchcase(known, name) for known in BY_WIRE_NAME):
                raise click.UsageError(f"--type {name!r} is none of {', '.join(BY_WIRE_NAME)}")
        beginning = None if endpoint is None else endpoint.lower()
        if beginning is not None and not _BEGINNING.match(beginning):
            raise click.UsageError(
                f"--endpoint {endpoint!r} is neither an endpoint's id nor its beginning,"
                f" {ENDPOINT_CHARACTERS_MIN} characters or more"
            )
        return cls(tuple(names), beginning)

    def partitions(self, partitions: int) -> list[int]:
        """Return the partitions that entries can lie on: a whole id has only one."""
        if self.endpoint is not None and len(self.endpoint) == _UUID_CHARACTERS:
            try:
                return [partition_of(UUID(self.endpoint), partitions)]
            except ValueError:
                pass  # 36 of these characters may still be no UUID; nothing will be found
        return list(range(partitions))

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.names) or self.endpoint is not None

    def wants(self, entry: Entry) -> bool:
        """Whether the entry is one of those wanted."""
        if self.names:
            name = entry.fields.get(b"name", b"").decode("utf-8", "replace")
            if not any(fnmatchcase(name, wanted) for wanted in self.names):
                return False
        return self.endpoint is None or _endpoint_of(entry).startswith(self.endpoint)


def _endpoint_of(entry: Entry) -> str:
    try:
        return _DECODE(entry.fields.get(b"payload", b"")).endpoint_id.lower()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
