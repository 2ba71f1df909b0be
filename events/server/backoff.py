"""Backoff: how long to wait before the next try."""

import random
from collections.abc import Iterator

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """Delays that double from *first_s* to *most_s*, each drawn between half and all of it.

    The draw keeps many clients that failed together from coming back together.
    """

    first_s: float = 0.05
    most_s: float = 5.0

    def delay_s(self, failures: int) -> float:
        """Return the delay in seconds after this many failures in a row (1 or more)."""
        ceiling = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 32))
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret

    def delays(self) -> Iterator[float]:
        """Yield the delay in seconds after the first failure, after the second, and so on."""
        failures = 0
        while True:
            failures += 1
            yield self.delay_s(failures)
