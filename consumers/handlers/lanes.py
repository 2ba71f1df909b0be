"""Decides which entry is tried next: one of each endpoint at a time, in order."""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from time import monotonic
from uuid import UUID

from consumers.handlers.entry_in_hand import EntryInHand

ALONE_S = 0.25
"""A suspect waits so long at most to be alone, and is alone for so long at most."""


@dataclass(slots=True)
class _Lane:
    """The entries of one endpoint.

    *lined_up_at* says since when its first entry may begin; *is_suspect*, whether that should be
    alone.
    """

    entries: deque[EntryInHand]
    lined_up_at: float = 0.0
    is_suspect: bool = False
    is_released: bool = False


class Lanes:
    """One lane for each endpoint that has entries; an entry that waits for a try blocks its lane.

    It blocks no other lane: these have their turns one after another. At most *concurrency* tries
    run at a time. An entry with an earlier try that never ended is suspected to kill its process:
    its next try begins alone, so that few others die with it, but waits no longer than `ALONE_S`
    for that, and blocks others no longer.

    Attributes:
        running: Tries that were begun and have not ended.
    """

    def __init__(self, concurrency: int, alone_s: float = ALONE_S) -> None:
        self.running = 0
        self._concurrency = concurrency
        self._alone_s = alone_s
        self._lanes: dict[UUID, _Lane] = {}
        self._lined_up: deque[_Lane] = deque()
        self._due: list[tuple[float, int, _Lane]] = []
        self._numbers = count()
        self._awaited: _Lane | None = None
        self._alone: EntryInHand | None = None
        self._alone_until = 0.0
        self._looked_at = monotonic()
        self._is_stopped = False

    def add(self, held: EntryInHand) -> None:
        """Put *held* at the end of its endpoint's lane."""
        lane = self._lanes.get(held.endpoint_id)
        if lane is None:
            lane = self._lanes[held.endpoint_id] = _Lane(deque([held]))
            self._line_up(lane)
        else:
            lane.entries.append(held)

    def next(self) -> EntryInHand | None:
        """Begin a try of the entry that is returned; None if none may begin now."""
        self._looked_at = now = monotonic()
        self._line_up_due(now)
        is_free = self.running < self._concurrency and now >= self._alone_until
        if self._is_stopped or not is_free or not self._lined_up:
            return None
        lane = self._lined_up[0]
        held = lane.entries[0]
        if lane.is_suspect and not self._may_begin_alone(lane, now):
            return None
        self._lined_up.popleft()
        self.running += 1
        return held

    def _may_begin_alone(self, lane: _Lane, now: float) -> bool:
        """Whether the suspect that is next need not wait for others; keep them back if it begins.

        One that has waited long enough by the time that it is next has had no part in that.
        """
        is_patient = now < lane.lined_up_at + self._alone_s
        if is_patient:
            self._awaited = lane
            if self.running:
                return False
        if self._awaited is lane:
            self._alone, self._alone_until = lane.entries[0], now + self._alone_s
            self._awaited = None
        return True

    def next_s(self) -> float | None:
        """Return the seconds until `next` may find one by itself; None if it will not."""
        # What became due since `next` looked was not seen by it.
        now, times = self._looked_at, [lane[0] for lane in self._due[:1]]
        if self._lined_up and self.running < self._concurrency:
            times.append(self._alone_until)
            times.append(self._lined_up[0].lined_up_at + self._alone_s)
        later = [at - now for at in times if at > now]
        return min(later, default=None)

    def end(self, held: EntryInHand) -> None:
        """Note that the try of *held* ended, and that it is not to be tried again."""
        self._leave(held)
        lane = self._lanes[held.endpoint_id]
        lane.entries.popleft()
        if lane.entries:
            self._line_up(lane)
        else:
            del self._lanes[held.endpoint_id]

    def put_off(self, held: EntryInHand) -> None:
        """Note that the try of *held* ended, and that the next one begins when it is due."""
        self._leave(held)
        lane = self._lanes[held.endpoint_id]
        self._line_up(lane)
        lane.is_suspect = False  # this process has survived a try of it

    def waiting(self, from_s: float) -> list[UUID]:
        """Return the endpoints that wait at least *from_s* for a next try, the longest first."""
        earliest_at = monotonic() + from_s
        late = sorted((at, number, lane) for at, number, lane in self._due if at >= earliest_at)
        return [
            lane.entries[0].endpoint_id for _, _, lane in reversed(late) if not lane.is_released
        ]

    def release(self, endpoint_id: UUID) -> Sequence[EntryInHand]:
        """Return all entries of the lane of *endpoint_id*, which waits, and end the lane."""
        lane = self._lanes.pop(endpoint_id)
        lane.is_released = True
        return lane.entries

    def stop(self) -> None:
        """Begin no further tries."""
        self._is_stopped = True

    def _line_up(self, lane: _Lane) -> None:
        held, lane.lined_up_at = lane.entries[0], monotonic()
        lane.is_suspect = held.unseen > 0
        if held.due_at > lane.lined_up_at:
            heapq.heappush(self._due, (held.due_at, next(self._numbers), lane))
        else:
            self._lined_up.append(lane)

    def _line_up_due(self, now: float) -> None:
        while self._due and (self._due[0][0] <= now or self._due[0][2].is_released):
            _, _, lane = heapq.heappop(self._due)
            if not lane.is_released:
                lane.lined_up_at = now
                self._lined_up.append(lane)

    def _leave(self, held: EntryInHand) -> None:
        self.running -= 1
        if held is self._alone:
            self._alone, self._alone_until = None, 0.0
