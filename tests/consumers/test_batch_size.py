"""A batch fits into memory, whatever the entries' size."""

import pytest

from consumers.runtime.new_entries import BatchSize
from consumers.runtime.outcome import Delivery
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.log.read_size import READ_BYTES

MIB = 1_048_576


def batch(entries: int, size: int) -> list[Delivery]:
    return [Delivery(Entry(EntryId(1, n), 0, {b"payload": b"x" * size})) for n in range(entries)]


def test_it_begins_small_and_grows_to_what_is_allowed() -> None:
    size = BatchSize(10_000)
    counts = [size.count]
    for _ in range(4):
        size.note_batch(batch(size.count, 500))
        counts.append(size.count)

    assert counts == [64, 256, 1_024, 4_096, 10_000]


@pytest.mark.parametrize(("entry_bytes", "count"), [(MIB, 16), (4 * MIB, 4), (100 * MIB, 1)])
def test_it_shrinks_where_entries_are_large(entry_bytes: int, count: int) -> None:
    size = BatchSize(10_000)
    size.note_batch(batch(2, entry_bytes))

    assert size.count == count
    assert size.count * entry_bytes <= max(READ_BYTES, entry_bytes)


def test_it_never_asks_for_more_than_it_may() -> None:
    size = BatchSize(3)
    size.note_batch(batch(3, 0))

    assert size.count == 3


def test_one_large_entry_among_many_small_ones_does_not_go_unseen_for_long() -> None:
    size = BatchSize(10_000)
    size.note_batch([*batch(63, 10), *batch(1, 64 * MIB)])

    assert size.count <= 16
