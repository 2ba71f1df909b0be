"""Draws a health history as a strip: a line of blocks, one for each part of the time."""

from collections.abc import Sequence

from rich.text import Text

from projections.health_state.history import Condition, Interval, Span

Cell = Condition | str
MIXED = "mixed"
"""Some of an endpoint's routes are healthy, some are not."""

_WORST_FIRST: tuple[Condition, ...] = (
    "unhealthy",
    "not_checked",
    "healthy",
    "ended",
    "absent",
    "unknown",
)
_NOTHING = len(_WORST_FIRST) - 1
_BLOCKS = {
    "healthy": ("█", "#", "green"),
    "mixed": ("▄", "+", "yellow"),
    "unhealthy": ("▁", "_", "red"),
    "not_checked": ("░", ":", "dim"),
    "ended": ("╌", "-", "dim"),
    "absent": (" ", " ", ""),
    "unknown": ("·", ".", "dim"),
}
_WORDS = {"not_checked": "not checked", "mixed": "some healthy"}


def cells_of(intervals: Sequence[Interval], window: Span, count: int) -> list[Condition]:
    """Return the worst condition of a route in each of *count* equal parts of the window."""
    length_ms = max(1, window.end_ms - window.start_ms)
    worst = [_NOTHING] * count
    for interval in intervals:
        first = (interval.span.start_ms - window.start_ms) * count // length_ms
        past = -((window.start_ms - interval.span.end_ms) * count // length_ms)
        rank = _WORST_FIRST.index(interval.condition)
        for place in range(max(0, first), min(count, past)):
            worst[place] = min(worst[place], rank)
    return [_WORST_FIRST[rank] for rank in worst]


def together(strips: Sequence[Sequence[Condition]]) -> list[Cell]:
    """Return one strip for several routes: healthy where all checked routes were healthy."""
    return [_of_all(set(column)) for column in zip(*strips, strict=True)]


def _of_all(conditions: set[Condition]) -> Cell:
    judged = conditions & {"healthy", "unhealthy"}
    if len(judged) > 1:
        return MIXED
    if judged:
        return judged.pop()
    return next(one for one in ("not_checked", "ended", "unknown", "absent") if one in conditions)


def strip(cells: Sequence[Cell], *, unicode: bool) -> Text:
    """Return the strip for a terminal, of blocks or of ASCII characters."""
    shown = Text(no_wrap=True)
    for cell in cells:
        block, character, colour = _BLOCKS[cell]
        shown.append(block if unicode else character, colour)
    return shown


def legend(cells: Sequence[Cell], *, unicode: bool) -> Text:
    """Explain the blocks that occur in *cells*."""
    parts = []
    for cell, (block, character, colour) in _BLOCKS.items():
        if cell in cells and cell != "absent":
            mark = Text(block if unicode else character, colour)
            parts.append(Text.assemble(mark, f" {_WORDS.get(cell, cell)}"))
    return Text("  ").join(parts)
