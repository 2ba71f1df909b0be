"""Keep a route's newest transitions packed: a million of them may be in memory at once."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812 - an error, whatever its module calls it
from typing import NamedTuple

import msgspec

from events.catalogue.model_service import ModelServiceStatus
from events.entry.entry_id import START, EntryId

TRANSITIONS_MAX = 32
"""Number of a route's newest transitions that are kept."""

Content = tuple[ModelServiceStatus, str | None, int]
"""A transition's content without its stamp: new status, reason, consecutive failures."""

STAMP = Struct(">QQ")
"""Packs a stamp into bytes, which sort as the stamps do."""

_BYTES = STAMP.size
_CONTENTS_MAX = 1_024


class Transition(NamedTuple):
    """A route became healthy or unhealthy, at this stamp and for this reason."""

    at: EntryId
    new_status: ModelServiceStatus
    reason: str | None
    consecutive_failures: int


@lru_cache(maxsize=_CONTENTS_MAX)
def content_of(
    new_status: ModelServiceStatus, reason: str | None, consecutive_failures: int
) -> Content:
    """Return the content as one shared object: a million transitions have few distinct ones."""
    return new_status, reason, consecutive_failures


class Transitions(msgspec.Struct, frozen=True, gc=False):
    """A route's newest transitions, oldest first, with distinct stamps.

    Attributes:
        stamps: Their stamps, packed.
        contents: Their contents.
    """

    stamps: bytes = b""
    contents: tuple[Content, ...] = ()

    @classmethod
    def of(cls, transitions: Iterable[Transition]) -> "Transitions":
        """Pack *transitions*, which are in order; raise ValueError for an invalid stamp."""
        ordered = tuple(transitions)
        try:
            stamps = b"".join([STAMP.pack(*transition.at) for transition in ordered])
        except StructError:
            raise ValueError("a transition has a stamp that is no entry id") from None
        return cls(stamps, tuple([content_of(*transition[1:]) for transition in ordered]))

    def __len__(self) -> int:
        return len(self.contents)

    def __iter__(self) -> Iterator[Transition]:
        for (ms, seq), content in zip(STAMP.iter_unpack(self.stamps), self.contents, strict=True):
            yield Transition(EntryId(ms, seq), *content)

    def rows(self) -> tuple[tuple[object, ...], ...]:
        """Return them as a document has them, as plain tuples to be encoded."""
        return tuple(
            zip(STAMP.iter_unpack(self.stamps), *zip(*self.contents, strict=True), strict=True)
        )

    def pairs(self) -> list[tuple[bytes, Content]]:
        """Return each packed stamp with its content."""
        stamps = self.stamps
        places = range(0, len(stamps), _BYTES)
        return list(zip([stamps[at : at + _BYTES] for at in places], self.contents, strict=True))

    @property
    def newest_at(self) -> EntryId:
        """The stamp of the newest, `START` where there is none."""
        return self._stamp(len(self.contents) - 1) if self.contents else START

    @property
    def oldest_at(self) -> EntryId:
        """The stamp of the oldest that is kept, `START` where there is none."""
        return self._stamp(0) if self.contents else START

    def ends_before(self, at: EntryId) -> bool:
        """Return whether all of them lie before *at*."""
        return self.stamps[-_BYTES:] < STAMP.pack(*at)

    def status_since(self, begin: EntryId) -> EntryId:
        """Return the first stamp of the newest unbroken run of one status, not before *begin*."""
        stamps, each, key = self.stamps, self.contents, STAMP.pack(*begin)
        place = len(each) - 1
        while (
            place
            and each[place - 1][0] == each[-1][0]
            and stamps[(place - 1) * _BYTES : place * _BYTES] >= key
        ):
            place -= 1
        return self._stamp(place)

    def merged(self, others: "Transitions") -> "Transitions":
        """Return the newest of both together; this very object where *others* has nothing new."""
        if not self.contents and len(others) <= TRANSITIONS_MAX:
            return others
        if not self.contents or others.stamps[:_BYTES] > self.stamps[-_BYTES:]:
            stamps, each = self.stamps + others.stamps, self.contents + others.contents
        else:
            both = sorted((dict(others.pairs()) | dict(self.pairs())).items())
            stamps, each = b"".join([at for at, _ in both]), tuple([content for _, content in both])
        newest = Transitions(stamps[-TRANSITIONS_MAX * _BYTES :], each[-TRANSITIONS_MAX:])
        return self if newest.stamps == self.stamps else newest

    def before(self, at: EntryId) -> "Transitions":
        """Return those that lie before *at*."""
        place = self._place(at)
        return Transitions(self.stamps[: place * _BYTES], self.contents[:place])

    def after(self, at: EntryId) -> "Transitions":
        """Return those that lie after *at*; this very object where all do."""
        place = self._place(at.after())
        return Transitions(self.stamps[place * _BYTES :], self.contents[place:]) if place else self

    def _place(self, at: EntryId) -> int:
        """Return how many lie before *at*."""
        stamps, key, place = self.stamps, STAMP.pack(*at), 0
        while place < len(self.contents) and stamps[place * _BYTES : (place + 1) * _BYTES] < key:
            place += 1
        return place

    def _stamp(self, place: int) -> EntryId:
        return EntryId(*STAMP.unpack_from(self.stamps, place * _BYTES))
