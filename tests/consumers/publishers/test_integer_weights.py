"""Traffic ratios as whole numbers: none is lost, and all keep their parts."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.publishers.integer_weights import SUM, integer_weights

RATIOS = st.lists(
    st.floats(min_value=0, max_value=1_000_000, exclude_min=True), min_size=1, max_size=50
)


def test_whole_numbers_stay_as_they_are() -> None:
    assert integer_weights([3.0, 1.0]) == [3, 1]


def test_fractions_become_parts_of_the_sum() -> None:
    assert integer_weights([0.75, 0.25]) == [7_500, 2_500]


def test_what_is_left_over_goes_to_the_largest_remainders() -> None:
    assert integer_weights([0.5, 0.5, 0.5], total=100) == [34, 33, 33]


def test_the_smallest_ratio_still_gets_traffic() -> None:
    assert integer_weights([1_000_000.0, 1e-300]) == [SUM, 1]


@given(RATIOS)
def test_no_weight_is_0_and_each_is_within_1_of_its_part(ratios: list[float]) -> None:
    weights = integer_weights(ratios)

    total = SUM if sum(weights) <= SUM + len(ratios) else sum(weights)
    parts = [ratio / sum(ratios) * total for ratio in ratios]
    assert all(weight >= 1 for weight in weights)
    if any(ratio != int(ratio) or ratio > SUM for ratio in ratios):
        assert SUM <= sum(weights) <= SUM + len(ratios)
        assert all(abs(w - part) <= 1 for w, part in zip(weights, parts, strict=True))
