"""The reply: what Redis answers, given a type where it is read."""

from collections.abc import Awaitable
from typing import Any, Protocol


class Ask(Protocol):
    """Sends one command and returns the reply; None where the server refused, or has nothing."""

    def __call__(self, *command: Any) -> Awaitable[Any]:  # noqa: ANN401 - a command's words
        """Send *command*."""


def text(raw: bytes) -> str:
    """Return a name that another program may have chosen; bytes that are no text are escaped."""
    return raw.decode("utf-8", "backslashreplace")
