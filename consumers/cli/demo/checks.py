"""The checks: what must hold after each step of the demo's story."""

from collections.abc import Callable
from time import monotonic

import anyio
import msgspec

STEP_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.02


class Check(msgspec.Struct, frozen=True):
    """One thing that had to hold, whether it did, and after how many seconds."""

    what: str
    held: bool
    after_s: float


class Checks:
    """Looks until something holds, or time is up; tells each result to *tell*."""

    def __init__(self, tell: Callable[[Check], None]) -> None:
        self.made: list[Check] = []
        self._tell = tell

    @property
    def failed(self) -> int:
        """How many did not hold."""
        return sum(not check.held for check in self.made)

    async def until(
        self, what: str, holds: Callable[[], bool], timeout_s: float = STEP_TIMEOUT_S
    ) -> None:
        """Wait until *holds* returns true; it is a failed check when it does not in time."""
        began_at = monotonic()
        with anyio.move_on_after(timeout_s):
            while not holds():  # noqa: ASYNC110 - it looks at the outside world
                await anyio.sleep(LOOK_EVERY_S)
        self.note(what, held=holds(), after_s=monotonic() - began_at)

    def note(self, what: str, *, held: bool, after_s: float = 0.0) -> None:
        """Take down what was found."""
        check = Check(what, held, after_s)
        self.made.append(check)
        self._tell(check)
