"""Turns traffic ratios into the whole numbers that proxies want, without losing a route."""

from collections.abc import Sequence

SUM = 10_000
"""The sum of an endpoint's weights, where its ratios are not small whole numbers anyway."""


def integer_weights(ratios: Sequence[float], total: int = SUM) -> list[int]:
    """Return a weight of at least 1 for each of *ratios*, all of which are above 0.

    Whole numbers up to *total* stay as they are, for a person to recognise them. All others are
    scaled to *total* in sum by largest remainder, first of equals first; what would get 0 gets 1
    on top of it.
    """
    if all(ratio == int(ratio) <= total for ratio in ratios):
        return [int(ratio) for ratio in ratios]
    most = max(ratios)
    parts = [ratio / most for ratio in ratios]  # the sum of the largest floats is none any more
    whole = sum(parts)
    exact = [part / whole * total for part in parts]
    weights = [int(one) for one in exact]
    by_remainder = sorted(range(len(exact)), key=lambda n: weights[n] - exact[n])
    for n in by_remainder[: total - sum(weights)]:
        weights[n] += 1
    return [max(1, weight) for weight in weights]
