"""Garbage: how often Python looks for cycles to free."""

import gc

THRESHOLDS = (100_000, 20, 100)


def collect_rarely() -> None:
    """Look for garbage cycles rarely; called once, by the composition root.

    Folds make many small objects that live long and never form cycles: looking through them again
    and again costs a third of a projector's time (measured with `benchmarks.project`).
    """
    gc.set_threshold(*THRESHOLDS)
