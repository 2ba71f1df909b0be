"""Read which health checkers live, and which have died without another in their place."""

from collections.abc import Sequence

import msgspec

from events.log.keys import Keys
from events.server.reply import Ask, reply_or_none, text

CHECKERS_READ = 1_000
"""The newest signs of life that are read."""


class KnownCheckers(msgspec.Struct, frozen=True):
    """The health checkers of a deployment.

    Attributes:
        living: Those that gave a sign within their lifetime.
        dead: Those that did not, and did not leave, or left as the last; the newest first.
        dead_s: Seconds since the newest sign of the dead, 0 where there are none.
    """

    living: Sequence[str] = ()
    dead: Sequence[str] = ()
    dead_s: float = 0.0

    @property
    def known(self) -> int:
        """How many there are to be."""
        return len(self.living) + len(self.dead)


async def read_known_checkers(
    ask: Ask, keys: Keys, lifetime_s: float, now_s: float
) -> KnownCheckers | None:
    """Return the checkers, None where the server does not say.

    Args:
        ask: Sends a command.
        keys: The keys of the deployment.
        lifetime_s: Seconds without a sign after which a checker is dead.
        now_s: The server's clock, in seconds since 1970.
    """
    raw = await ask("ZREVRANGE", keys.checkers, 0, CHECKERS_READ - 1, "WITHSCORES")
    flat = reply_or_none(raw, list[bytes])
    if flat is None:
        return None
    signs = zip(flat[::2], flat[1::2], strict=True)
    ages = {text(checker): now_s - float(at_ms) / 1_000 for checker, at_ms in signs}
    dead = {checker: age_s for checker, age_s in ages.items() if abs(age_s) > lifetime_s}
    return KnownCheckers(
        living=[checker for checker in ages if checker not in dead],
        dead=list(dead),
        dead_s=max(0.0, min(dead.values(), default=0.0)),
    )
