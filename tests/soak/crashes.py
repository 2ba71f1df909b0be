"""Processes that ended by themselves, and errors that nobody expected, in what they wrote."""

from collections.abc import Iterator, Mapping
from pathlib import Path

_TRACEBACK = "Traceback (most recent call last)"
_SAID = "Error: "
_SHOWN_MAX = 300


def tracebacks_in(output: Path) -> Iterator[str]:
    """Yield the last line of each traceback in *output*, or the log line that holds it."""
    lines = iter(output.read_text(errors="replace").splitlines())
    for line in lines:
        if _TRACEBACK not in line:
            continue
        if line.lstrip().startswith("{"):
            yield f"logged: {line[-_SHOWN_MAX:]}"
            continue
        yield next((one for one in lines if one and not one[0].isspace()), line)[:_SHOWN_MAX]


def unexplained_ends(
    restarts: Mapping[str, int], signalled: Mapping[str, int], output: Path
) -> Iterator[str]:
    """Yield how often processes ended that no fault had ended, and that did not say why.

    A process that cannot begin, for the server is away just then, says so and is started again.
    """
    extra = {name: count - signalled.get(name, 0) for name, count in restarts.items()}
    ended = {name: count for name, count in extra.items() if count > 0}
    said = sum(one.startswith(_SAID) for one in output.read_text(errors="replace").splitlines())
    if sum(ended.values()) > said:
        yield f"ended by themselves: {ended}, and {said} times it was said why"
