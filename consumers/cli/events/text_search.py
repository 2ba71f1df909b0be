"""Searches the fields of entries for a text or a regular expression.

A regular expression can take for ever. Python handles signals while it matches, so that a timer
ends it. Signals reach only the main thread: in any other thread there is no time limit.
"""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Self

import msgspec

from events.entry.recorded import Entry
from events.errors import EventsError

PATTERN_CHARACTERS_MAX = 200
SEARCHED_CHARACTERS_MAX = 65_536
"""Of a field's value, for a regular expression; a plain text is searched in all of it."""

MATCH_MAX_S = 1.0
"""Time limit for one entry."""


class SearchError(EventsError, ValueError):
    """A pattern cannot be searched for."""


class TextSearch(msgspec.Struct, frozen=True):
    """Searches the names and values of an entry's fields for a pattern."""

    pattern: str
    find: Callable[[str], bool]
    is_timed: bool

    @classmethod
    def parse(cls, pattern: str, *, is_regex: bool, ignores_case: bool) -> Self:
        """Build the search from the values of command-line options.

        Raises:
            SearchError: The pattern is empty, too long, or no regular expression.
        """
        if not 1 <= len(pattern) <= PATTERN_CHARACTERS_MAX:
            raise SearchError(
                f"the pattern has {len(pattern)} characters, 1 to {PATTERN_CHARACTERS_MAX} are"
                " allowed"
            )
        if not is_regex and not ignores_case:
            return cls(pattern, lambda text: pattern in text, is_timed=False)
        flags = re.IGNORECASE if ignores_case else 0
        try:
            compiled = re.compile(pattern if is_regex else re.escape(pattern), flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise SearchError(f"pattern {pattern!r} is no regular expression: {error}") from None
        return cls(
            pattern,
            lambda text: compiled.search(text, 0, SEARCHED_CHARACTERS_MAX) is not None,
            is_timed=is_regex,
        )

    def finds(self, entry: Entry) -> bool:
        """Whether the entry contains the pattern.

        Raises:
            SearchError: Matching takes longer than `MATCH_MAX_S`.
        """
        texts = (raw.decode("utf-8", "backslashreplace") for pair in entry.pairs for raw in pair)
        if not self.is_timed:
            return any(map(self.find, texts))
        with _time_limit(self.pattern, entry):
            return any(map(self.find, texts))


@contextmanager
def _time_limit(pattern: str, entry: Entry) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> NoReturn:
        raise SearchError(
            f"pattern {pattern!r} takes longer than {MATCH_MAX_S:g} s on entry {entry.entry_id};"
            " make it simpler, without repetitions within repetitions"
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MATCH_MAX_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
