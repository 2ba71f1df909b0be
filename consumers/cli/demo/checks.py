"""Checks what must hold after each step of the demo, and keeps the results."""

from collections.abc import Callable
from time import monotonic

import anyio
import msgspec

STEP_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.02


class Check(msgspec.Struct, frozen=True):
    """One condition, whether it held, and after how many seconds."""

    what: str
    held: bool
    after_s: float


class Checks:
    """Waits for conditions up to a deadline; passes each result to *tell*."""

    def __init__(self, tell: Callable[[Check], None]) -> None:
        self.made: list[Check] = []
        self._tell = tell

    @property
    def failed(self) -> int:
        """How many checks did not hold."""
        return sum(not check.held for check in self.made)

    async def until(
        self, what: str, holds: Callable[[], bool], timeout_s: float = STEP_TIMEOUT_S
    ) -> None:
        """Wait until *holds* returns true; the check fails if it does not within *timeout_s*."""
        began_at = monotonic()
        with anyio.move_on_after(timeout_s):
            while not holds():  # noqa: ASYNC110 - the state changes outside of this process
                await anyio.sleep(LOOK_EVERY_S)
        self.note(what, held=holds(), after_s=monotonic() - began_at)

    def note(self, what: str, *, held: bool, after_s: float = 0.0) -> None:
        """Add the result of a check."""
        check = Check(what, held, after_s)
        self.made.append(check)
        self._tell(check)
