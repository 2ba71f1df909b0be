"""Processes that ended by themselves, and errors that nobody expected, in what they wrote."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_TRACEBACK = "Traceback (most recent call last)"
_RAISED = re.compile(r"^[\s|]*((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b.*)")
_LOGGED = re.compile(r"^\s*\{")
_SAID = "Error: "
_SHOWN_MAX = 300


def crashes_in(
    output: Path, restarts: Mapping[str, int], signalled: Mapping[str, int]
) -> Iterator[str]:
    """Yield what the tracebacks in *output* end with; without any, ends that nobody explained.

    A process that cannot begin, for the server is away just then, says so and is started again.
    """
    lines = output.read_text(errors="replace").splitlines()
    if not any(_TRACEBACK in line for line in lines):
        yield from _unexplained(lines, restarts, signalled)
        return
    yield from (f"logged: {one[-_SHOWN_MAX:]}" for one in lines if _is_logged_traceback(one))
    raised = (_RAISED.match(line) for line in lines if not _LOGGED.match(line))
    yield from dict.fromkeys(found[1][:_SHOWN_MAX] for found in raised if found)


def _is_logged_traceback(line: str) -> bool:
    return _TRACEBACK in line and _LOGGED.match(line) is not None


def _unexplained(
    lines: list[str], restarts: Mapping[str, int], signalled: Mapping[str, int]
) -> Iterator[str]:
    extra = {name: count - signalled.get(name, 0) for name, count in restarts.items()}
    ended = {name: count for name, count in extra.items() if count > 0}
    said = sum(line.startswith(_SAID) for line in lines)
    if sum(ended.values()) > said:
        yield f"ended by themselves: {ended}, and {said} times it was said why"
