"""What a consumer said of a fault."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.waiting import wait_until


def said(logs: Sequence[Mapping[str, Any]], event: str, word: str = "") -> list[Mapping[str, Any]]:
    """Return the lines of *event* that have *word* in them."""
    return [one for one in logs if one["event"] == event and word in str(one)]


async def until_said(
    logs: Sequence[Mapping[str, Any]], event: str, word: str = "", timeout_s: float = 20.0
) -> None:
    """Wait for a line of *event* with *word* in it."""
    await wait_until(lambda: bool(said(logs, event, word)), f"{event}: {word}", timeout_s)
