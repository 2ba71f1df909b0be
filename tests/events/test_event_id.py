import time
from uuid import RFC_4122

from events.catalogue.event import new_event_id


def test_an_event_id_is_a_uuid_of_version_7() -> None:
    for _ in range(200):
        event_id = new_event_id()
        assert (event_id.version, event_id.variant) == (7, RFC_4122)


def test_an_event_id_begins_with_the_millisecond_in_which_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    made_at = new_event_id().int >> 80
    assert before <= made_at <= time.time_ns() // 1_000_000


def test_no_two_event_ids_are_the_same() -> None:
    assert len({new_event_id() for _ in range(20_000)}) == 20_000


def test_all_other_bits_are_drawn() -> None:
    ids = [new_event_id().int for _ in range(200)]
    ones = zeros = 0
    for one in ids:
        ones |= one
        zeros |= ~one
    random_bits = (0xFFF << 64) | (2**62 - 1)
    assert ones & random_bits == random_bits
    assert zeros & random_bits == random_bits
