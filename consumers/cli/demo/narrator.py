"""What a story tells, and how it lets itself be looked at."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from consumers.cli.demo.checks import Checks
from consumers.cli.demo.shell import Shell


class Narrator(NamedTuple):
    """Tells a story.

    Attributes:
        checks: What must hold, and whether it did.
        tell: Shows what happens next.
        pause: Waits until a person has seen it.
        shell: Runs commands, and shows what they print.
    """

    checks: Checks
    tell: Callable[[str], None]
    pause: Callable[[], Awaitable[None]]
    shell: Shell
