"""Keep which watched route is to be probed next."""

from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

from producers.checker.watched_route import WatchedRoute

_VOID_MIN = 64
"""Void entries that are kept in any case."""

Entry = tuple[float, int, WatchedRoute]


class ProbeSchedule:
    """Watched routes in the order in which they are due, by the event loop's clock.

    A route has one place at most: the last `put` counts. What was put before, or has ended since,
    is void; void entries never outnumber the others by far.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._number = count()
        self._void = 0

    def put(self, watch: WatchedRoute, due_at: float) -> None:
        """Have *watch* due at *due_at*, and at no other time."""
        self.drop(watch)
        watch.due_at, watch.place = due_at, next(self._number)
        heappush(self._entries, (due_at, watch.place, watch))

    def drop(self, watch: WatchedRoute) -> None:
        """Have *watch* due no more."""
        if watch.place is None:
            return
        watch.place = None
        self._void += 1
        if self._void > max(_VOID_MIN, len(self._entries) // 2):
            self._entries = [entry for entry in self._entries if _counts(entry)]
            heapify(self._entries)
            self._void = 0

    def take(self, now: float) -> WatchedRoute | None:
        """Take the route that has been due for longest, None where none is due."""
        self._pass_void()
        if not self._entries or self._entries[0][0] > now:
            return None
        watch = heappop(self._entries)[2]
        watch.place = None
        return watch

    def next_at(self) -> float:
        """Return when the next route is due; infinite where there is none."""
        self._pass_void()
        return self._entries[0][0] if self._entries else inf

    def _pass_void(self) -> None:
        while self._entries and not _counts(self._entries[0]):
            heappop(self._entries)
            self._void -= 1


def _counts(entry: Entry) -> bool:
    _, place, watch = entry
    return watch.place == place
