"""The journal: what a producer asked for, and what it was told, in a file of its own.

A line is written before an append is sent, and another when it has ended. An append of which no end
is written is one that its producer did not live to hear of.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Literal
from uuid import UUID

import msgspec

from events.catalogue.event import Event
from events.entry.entry_id import EntryId

End = Literal["acknowledged", "uncertain", "refused"]
"""The append is in the log for good; it may be there; it certainly is not."""


class Asked(msgspec.Struct, frozen=True, tag=True):
    """An append that is about to be sent: all or none of its events will be in the log."""

    request_id: str
    endpoint_id: UUID
    events: list[tuple[str, msgspec.Raw]]


class Told(msgspec.Struct, frozen=True, tag=True):
    """How it ended, as its producer was told.

    Attributes:
        at: When, by the monotonic clock that all processes of this machine share.
    """

    request_id: str
    end: End
    why: str = ""
    entry_ids: tuple[str, ...] = ()
    at: float = 0.0


class Request(msgspec.Struct):
    """An append, as its journal knows it in the end."""

    asked: Asked
    told: Told

    @property
    def is_acknowledged(self) -> bool:
        """Whether its producer may rely on it."""
        return self.told.end == "acknowledged"


class Journal:
    """Written line by line; each is with the system before anything else happens."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def ask(self, request_id: str, events: Sequence[Event]) -> None:
        """Note that *events* are about to be appended."""
        asked = [(one.wire_name, msgspec.Raw(msgspec.json.encode(one))) for one in events]
        self._write(Asked(request_id, events[0].endpoint_id, asked))

    def tell(
        self, request_id: str, end: End, why: str = "", entry_ids: Iterable[EntryId] = ()
    ) -> None:
        """Note how the append ended."""
        self._write(Told(request_id, end, why, tuple(map(str, entry_ids)), monotonic()))

    def _write(self, line: Asked | Told) -> None:
        os.write(self._file, msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)


_LINE = msgspec.json.Decoder(Asked | Told)


def read_journals(folder: Path) -> dict[str, Request]:
    """Return all requests of all journals in *folder*, by their ids."""
    requests: dict[str, Request] = {}
    for path in sorted(folder.glob("*.journal")):
        for line in _lines(path):
            if isinstance(line, Asked):
                assert line.request_id not in requests, f"{line.request_id} was asked twice"
                end = Told(line.request_id, "uncertain", "its producer did not live to hear")
                requests[line.request_id] = Request(line, end)
            else:
                requests[line.request_id].told = line
    return requests


def _lines(path: Path) -> Iterator[Asked | Told]:
    """Yield what was written as a whole; a producer may have been killed within its last line."""
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield _LINE.decode(line)
