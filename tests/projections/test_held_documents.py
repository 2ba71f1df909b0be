from uuid import UUID

import pytest

from projections.read_model.held_documents import HeldDocuments

HELD_MAX = 1_000
BATCH = 50


def share_found(endpoints: int, held_max: int) -> float:
    """Go round the endpoints in batches; return the share that is held, once all were seen."""
    held: HeldDocuments[str] = HeldDocuments()
    ids = [UUID(int=number) for number in range(endpoints)]
    found = asked = 0
    for round_ in range(6):
        for begin in range(0, endpoints, BATCH):
            batch = ids[begin : begin + BATCH]
            missing = [each for each in batch if each not in held]
            held.make_room(len(missing), held_max, frozenset(batch))
            assert all((each in held) == (each not in missing) for each in batch)
            held |= dict.fromkeys(missing, (1, "state"))
            assert len(held) <= held_max
            if round_:
                asked += len(batch)
                found += len(batch) - len(missing)
    return found / asked


@pytest.mark.parametrize(
    ("endpoints", "least"), [(1_000, 1.0), (1_100, 0.6), (1_250, 0.4), (2_000, 0.1)]
)
def test_beyond_what_is_held_fewer_documents_are_found_but_not_none(
    endpoints: int, least: float
) -> None:
    assert share_found(endpoints, HELD_MAX) >= least


def test_a_batch_that_is_larger_than_all_that_is_held_drops_only_others() -> None:
    held: HeldDocuments[str] = HeldDocuments({UUID(int=n): (1, "state") for n in range(9)})
    wanted = frozenset(UUID(int=n) for n in range(5, 25))
    held.make_room(16, 10, wanted)
    assert set(held) == {UUID(int=n) for n in range(5, 9)}
