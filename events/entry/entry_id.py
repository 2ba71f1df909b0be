"""Entry ids, which give the place of an event in its partition."""

from typing import Annotated, NamedTuple, Self

from msgspec import Meta

from events.errors import InvalidPositionError

_SEQ_MAX = 2**64 - 1
_TEXT_MAX = len(f"{_SEQ_MAX}-{_SEQ_MAX}")
_SAFE_TEXT_MAX = len(f"{_SEQ_MAX}")
"""So short a text has no half of more than 64 bits."""


class EntryId(NamedTuple):
    """The id of one entry, `<ms>-<seq>`, ordered as a pair of integers.

    *ms* is the server's clock when the entry was appended, in milliseconds since 1970; *seq*
    counts within that millisecond. A register of a read model that was last set by this entry
    carries its id as its stamp.
    """

    ms: Annotated[int, Meta(ge=0)]
    seq: Annotated[int, Meta(ge=0)]

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read `<ms>-<seq>`; raise InvalidPositionError for anything else."""
        raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
        ms, _, seq = raw.partition(b"-")
        if not (ms.isdigit() and seq.isdigit() and len(raw) <= _TEXT_MAX):
            raise InvalidPositionError(_shown(text), "an entry id is <ms>-<seq>")
        entry_id = tuple.__new__(cls, (int(ms), int(seq)))
        if len(raw) > _SAFE_TEXT_MAX and max(entry_id) > _SEQ_MAX:
            raise InvalidPositionError(_shown(text), "each half of an entry id has 64 bits")
        return entry_id

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"

    def after(self) -> Self:
        """Return the smallest id greater than this one; that of `END` is beyond all that exist."""
        if self.seq == _SEQ_MAX:
            return type(self)(self.ms + 1, 0)
        return type(self)(self.ms, self.seq + 1)

    def before(self) -> Self:
        """Return the greatest id smaller than this one; `START` has none and stays."""
        if self.seq:
            return type(self)(self.ms, self.seq - 1)
        return type(self)(self.ms - 1, _SEQ_MAX) if self.ms else self


START = EntryId(0, 0)
"""Less than the id of every entry; as an expected head: the endpoint has no event yet."""

END = EntryId(_SEQ_MAX, _SEQ_MAX)
"""The greatest id there can be; after an entry of this id nothing can be appended."""

AFTER_END = f"({END}"
"""Where an interval begins after `END`: it is empty, but Redis calls it an error."""


def _shown(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")
