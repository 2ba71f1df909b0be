"""Takes entries into an owner's hands: what earlier owners left, what is new, what waits aside."""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic

import anyio

from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.owned_entries import OwnedEntries
from consumers.handlers.rounds import Rounds
from consumers.handlers.server_wait import until_served
from consumers.handlers.sweep import Sweep
from consumers.handlers.tries import Tries
from consumers.runtime.group import Group
from consumers.runtime.group_history import GroupHistory
from consumers.runtime.new_entries import BatchSize
from consumers.runtime.progress import note_read, waiting
from events.entry.entry_id import EntryId

READ_MAX = 1_000
"""Entries read at a time; fewer where they are large."""

PUT_BACK_FROM_S = 1.0
"""An endpoint that waits so long for its next try waits aside, where others need its places."""

LOOK_EVERYWHERE_WITHIN_S = 5.0
"""Looking at all pending entries waits for the reading of a backlog, but no longer than this."""

CROWDED_PAUSE_S = 0.02
"""While the hands are crowded, a read waits for more room: it costs about the same for a few."""

_PAGE = 200
_FIRST_PAGE = 50
_ENDED_MAX = 1_000


class Intake:
    """Sorts the group's entries: each is taken into hand, or waits aside for its endpoint's turn.

    What is decided is written down in Redis before an entry is tried. So the next owner knows at
    once what was in hand, and which endpoints have entries aside, however many these are.
    """

    def __init__(
        self,
        place: tuple[Group, OwnedEntries, GroupHistory],
        tries: Tries,
        rounds: Rounds,
    ) -> None:
        self._group, self._entries, self._history = place
        self._tries = tries
        self._hands = tries.hands
        self._rounds = rounds
        self._lock = anyio.Lock()
        self._read_size = BatchSize(READ_MAX)
        self._sweep: Sweep | None = None
        self._sorted_up_to: EntryId | None = None
        self._is_loaded = False
        self._has_backlog = True
        self._look_everywhere_by: float | None = monotonic() + LOOK_EVERYWHERE_WITHIN_S
        self._stopping = anyio.Event()

    def stop(self) -> None:
        """End every wait for room, and begin no further try, also while a read is on its way."""
        self._stopping.set()
        self._rounds.stop()
        self._hands.wake()

    def look_everywhere(self) -> None:
        """Have all pending entries looked at for those that nobody has noted."""
        self._look_everywhere_by = monotonic() + LOOK_EVERYWHERE_WITHIN_S
        self._hands.wake()

    async def take_over(self) -> None:
        """Take into hand what the last owner had there; then sort what nobody has sorted."""
        async with self._lock:
            self._sweep = None
            if not self._is_loaded:
                await self._load()
            is_end = False
            while not is_end:
                start = "-" if self._sorted_up_to is None else f"({self._sorted_up_to}"
                found, looked_at = await self._pending([(start, "+")], _PAGE)
                is_end = len(looked_at) < _PAGE
                taken = self._sort(found, self._hands.take)
                await self._begin(taken, max(looked_at, default=None))
            position = await self._group.keep_position()
            if ended := [tried for tried in await self._entries.tried() if tried <= position]:
                await self._entries.settle(ended[:_ENDED_MAX])

    async def _load(self) -> None:
        """Take into hand what the last owner had there, as far as there is room."""
        self._sorted_up_to, first = await self._entries.aside()
        for endpoint_id, entry_id in first.items():
            self._hands.move_aside(endpoint_id, entry_id)
        in_hand = await self._entries.in_hand()
        sweep = Sweep(self._hands)
        for at in range(0, len(in_hand), _PAGE):
            ranges = [(str(entry_id), str(entry_id)) for entry_id in in_hand[at : at + _PAGE]]
            found, _ = await self._pending(ranges, 1)
            await self._begin(self._sort(found, sweep.take))
        left = [entry_id for entry_id in in_hand if entry_id not in self._hands.held]
        self._hands.unsaved.put_back += left
        self._is_loaded = True

    async def room(self) -> int:
        """Wait until there is room for new entries; return for how many, 0 after a stop."""
        with anyio.move_on_after(CROWDED_PAUSE_S):
            while self._hands.is_crowded and not self._stopping.is_set():
                await self._hands.freed.wait()
        while not self._stopping.is_set():
            freed = self._hands.freed
            async with self._lock:
                await self._put_back_waiting()
            if self._hands.room:
                return self._hands.room
            with waiting():
                await freed.wait()
        return 0

    async def _put_back_waiting(self) -> None:
        """While the hands are crowded, put endpoints aside that wait for a next try."""
        waiting_lanes = self._rounds.waiting(PUT_BACK_FROM_S) if self._hands.is_crowded else []
        for endpoint_id in waiting_lanes:
            if not self._hands.is_crowded:
                break
            self._hands.put_back(endpoint_id, self._rounds.release(endpoint_id))
            if self._sweep is not None:
                self._sweep.refuse(endpoint_id)
        await self._begin([])

    async def read(self, room: int) -> bool:
        """Read and sort new entries for which there is *room*; return whether there were any."""
        async with self._lock:
            count = min(room, self._read_size.count)
            found = await self._entries.read(count)
            self._has_backlog = len(found) == count
            if self._look_everywhere_by is not None:
                self._hands.wake()
            if not found:
                note_read(0)
                return False
            deliveries = [held.delivery for held in found]
            self._history.note(deliveries)
            self._read_size.note_batch(deliveries)
            note_read(len(found))
            await self._begin(self._sort(found, self._hands.take), found[-1].entry_id)
        return True

    async def sweep(self) -> bool:
        """Look at a page of what waits aside; return False if nothing has to be looked for."""
        async with self._lock:
            sweep = self._sweep or self._next_sweep()
            if sweep is None:
                return False
            # What its endpoints may take often lies at its beginning.
            page = _PAGE if sweep is self._sweep else _FIRST_PAGE
            self._sweep = sweep
            found, looked_at = await self._pending([(f"({sweep.after}", "+")], page)
            taken = self._sort(found, sweep.take)
            sweep.advance(looked_at, is_end=len(looked_at) < page)
            await self._begin(taken)
            if sweep.is_over:
                self._sweep = None
        return True

    def _next_sweep(self) -> Sweep | None:
        hands = self._hands
        if not self._is_loaded:
            return None
        by = self._look_everywhere_by
        if by is not None and (not self._has_backlog or monotonic() >= by):
            self._look_everywhere_by = None
            return Sweep(hands)
        wanting = {endpoint_id for endpoint_id in hands.wanting if hands.may_take(endpoint_id)}
        return Sweep(hands, wanting) if wanting else None

    async def _pending(
        self, ranges: Iterable[tuple[str, str]], count: int
    ) -> tuple[list[EntryInHand], list[EntryId]]:
        """Return pending entries, and the ids of all that were there; note those deleted."""
        found, gone = await self._entries.pending(ranges, count)
        if lost := [entry_id for entry_id in gone if entry_id not in self._hands.held]:
            await self._history.losses.note("deleted", lost)
            await self._entries.settle(lost)
        if claimed := sum(held.is_claimed for held in found):
            note_read(claimed, claimed=True)
        return found, [*gone, *(held.entry_id for held in found)]

    def _sort(
        self, found: Sequence[EntryInHand], take: Callable[[EntryInHand], bool]
    ) -> list[EntryInHand]:
        """Return the entries that were taken into hand, and those that nobody wants."""
        return [
            held
            for held in found
            if held.entry_id not in self._hands.held
            and (not self._tries.is_wanted(held) or take(held))
        ]

    async def _begin(self, taken: Sequence[EntryInHand], up_to: EntryId | None = None) -> None:
        """Write down what was decided, then try the entries in hand and end the others."""
        if self._hands.unsaved or up_to is not None:
            await until_served(lambda: self._entries.write_down(self._hands, up_to))
        self._sorted_up_to = up_to or self._sorted_up_to
        await self._tries.skip([held for held in taken if held.entry_id not in self._hands.held])
        for held in taken:
            if held.entry_id in self._hands.held:
                self._tries.date(held)
                self._rounds.add(held)
