"""The batch size: how many entries are read together, so that they fit into memory."""

from collections.abc import Sequence

from consumers.runtime.delivery import Delivery

BATCH_BYTES = 16 * 1_048_576
"""What the entries of a batch shall take together, about."""

_FIRST = 256
_GROWTH = 4
_LOOKED_AT_MAX = 64


class BatchSize:
    """Begins small, grows where there is much to read, and shrinks where entries are large.

    Attributes:
        count: Entries to ask for next.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = min(most, _FIRST)

    def note(self, batch: Sequence[Delivery]) -> None:
        """Learn from a batch that was read."""
        some = batch[:: max(1, len(batch) // _LOOKED_AT_MAX)]
        size = sum(len(value) for one in some for value in one.entry.fields.values())
        fitting = BATCH_BYTES * len(some) // max(1, size)
        self.count = max(1, min(self._most, _GROWTH * self.count, fitting))
