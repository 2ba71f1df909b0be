"""Which process consumes which partition: the same answer everywhere, even, and few moves."""

import subprocess
import sys
from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from consumers.membership.partition_spread import partitions_of, spread

MEMBERS = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=7, unique=True)
PARTITIONS = st.integers(1, 16)
_CASES = 25
_MORE_MOVES = 2.5
"""Moves against the least there could be, over many cases: what an even spread costs."""


@given(partitions=PARTITIONS, members=MEMBERS, seed=st.integers())
def test_the_order_in_which_members_are_known_does_not_matter(
    partitions: int, members: list[str], seed: int
) -> None:
    shuffled = Random(seed).sample(members, len(members))
    assert spread(partitions, shuffled) == spread(partitions, members)


@given(partitions=PARTITIONS, members=MEMBERS)
def test_every_partition_has_one_owner_and_none_has_over_one_more_than_another(
    partitions: int, members: list[str]
) -> None:
    found = spread(partitions, members)
    assert sorted(found) == list(range(partitions))
    counts = Counter(dict.fromkeys(members, 0))
    counts.update(found.values())
    assert counts.keys() == set(members)
    assert max(counts.values()) - min(counts.values()) <= 1


@given(partitions=PARTITIONS, members=MEMBERS)
def test_the_members_have_all_partitions_together_and_a_handlers_are_only_its_own(
    partitions: int, members: list[str]
) -> None:
    strict = [partitions_of(one, partitions, members, shares_freely=False) for one in members]
    free = [partitions_of(one, partitions, members, shares_freely=True) for one in members]
    assert sorted(one for own in strict for one in own) == list(range(partitions))
    for own, read in zip(strict, free, strict=True):
        assert read == own if own else len(read) == 1  # what is to spare reads beside an owner


@given(partitions=PARTITIONS, member=st.text(min_size=1))
def test_one_alone_has_all(partitions: int, member: str) -> None:
    assert partitions_of(member, partitions, [member], shares_freely=False) == set(
        range(partitions)
    )


@given(members=MEMBERS, joins=st.text(min_size=21, max_size=30))
def test_of_one_partition_it_moves_only_to_who_joins_and_only_if_its_owner_leaves(
    members: list[str], joins: str
) -> None:
    before, after = spread(1, members)[0], spread(1, [*members, joins])[0]
    assert after in {before, joins}


def test_few_partitions_move_beside_those_that_have_to() -> None:
    for partitions in (4, 8, 32):
        for count in (1, 2, 3, 4, 7):
            moved = least = 0.0
            for case in range(_CASES):
                members = [f"host-{case}-{number}" for number in range(count + 1)]
                before, after = spread(partitions, members[:-1]), spread(partitions, members)
                moved += sum(before[one] != after[one] for one in range(partitions))
                least += partitions / (count + 1)
            assert moved <= _MORE_MOVES * least, (partitions, count)


def test_another_process_with_other_hashes_answers_the_same() -> None:
    members = [f"host-{number}" for number in range(5)]
    code = f"from consumers.membership.partition_spread import spread; print(spread(16, {members}))"
    for hash_seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
            cwd=".",
        )
        assert ran.stdout.strip() == str(spread(16, members))
