"""The tries: what an owner has in hand, how each entry of it is tried, and how it ends."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from uuid import UUID

import anyio

from consumers.errors import LeaseLostError
from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.handler_settings import TOLD_MAX_S, HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.handlers.owned_entries import OwnedEntries
from consumers.handlers.server_wait import until_served
from consumers.runtime.outcome import (
    DeadLetter,
    Outcome,
    Retry,
    Skipped,
    given_up_unseen,
    outcome_of,
)
from consumers.runtime.progress import note_ended, waiting
from events.entry.codec import decode
from events.entry.entry_id import EntryId
from events.errors import EventsError, ServerRefusedError, ServerUnavailableError
from events.structured_logger import structured_logger

_TAKE_BACK_TIMEOUT_S = 0.5


class Tries:
    """The entries in the hands of one owner.

    Failures are counted apart from tries that came to no end, and both in Redis: neither a
    restart nor another owner begins anew, or comes before an entry's time.

    Attributes:
        held: What is in hand, in the order of the ids.
    """

    def __init__(
        self, group: str, entries: OwnedEntries, work: HandlerWork, settings: HandlerSettings
    ) -> None:
        self.held: dict[EntryId, EntryInHand] = {}
        self._entries = entries
        self._work = work
        self._settings = settings
        # What was noted by a clock that was set back since must not hold an entry back for long.
        self._wait_max_s = max(settings.policy.most_s, TOLD_MAX_S)
        self._freed = anyio.Event()
        self._stopping = False
        self._log = structured_logger(__name__).bind(group=group)

    def stop(self) -> None:
        """Let nobody wait for room any more."""
        self._stopping = True
        self._freed.set()

    async def room(self) -> int:
        """Wait until there is room for entries; say for how many, 0 when it was stopped."""
        while not self._stopping:
            if room := self._settings.held_max - len(self.held):
                return room
            self._freed = anyio.Event()
            with waiting():
                await self._freed.wait()
        return 0

    async def hold(self, found: Iterable[EntryInHand]) -> list[tuple[UUID, EntryInHand]]:
        """Take *found* into hand; return what is to be tried, and end the rest."""
        to_try: list[tuple[UUID, EntryInHand]] = []
        skipped: list[EntryInHand] = []
        for held in found:
            if held.entry_id in self.held:
                continue
            self.held[held.entry_id] = held
            if not self._work.wants(held.entry.fields.get(b"name")):
                skipped.append(held)
                continue
            try:
                recorded = decode(held.entry)
            except EventsError as error:
                outcome = outcome_of(error, held.begun, self._settings.policy)
                if isinstance(outcome, Skipped):
                    skipped.append(held)
                else:
                    await self._end(held, outcome)
                continue
            held.after_s = min(self._wait_max_s, max(held.after_s, self._unseen_delay_s(held)))
            to_try.append((recorded.endpoint_id, held))
        await self._acknowledge(skipped)
        note_ended("skipped", len(skipped))
        return to_try

    async def attempt(self, held: EntryInHand) -> float | None:
        """Try *held* once; return after how many seconds again, None when it has ended."""
        if held.unseen >= self._settings.unseen_max:
            return await self._end(held, given_up_unseen(held.unseen))
        held.begun += 1
        # It is noted before: a process that dies of it cannot note it afterwards.
        if not await until_served(lambda: self._entries.note(held)):
            self._let_go(held)
            return None
        try:
            error = await self._handle(held)
        except anyio.get_cancelled_exc_class():
            await self._take_back(held)
            raise
        return await self._end(held, outcome_of(error, held.failures + 1, self._settings.policy))

    async def _take_back(self, held: EntryInHand) -> None:
        """A try that is cut off from outside says nothing against its entry, if that can be noted.

        After a lease that was lost it cannot: then it counts as one that came to no end.
        """
        held.begun -= 1
        with (
            anyio.move_on_after(_TAKE_BACK_TIMEOUT_S, shield=True),
            suppress(LeaseLostError, ServerUnavailableError, ServerRefusedError),
        ):
            await self._entries.note(held)

    def _unseen_delay_s(self, held: EntryInHand) -> float:
        """Let the others come first where an entry may have killed its process again and again."""
        return self._settings.policy.delay_s(held.unseen - 1) if held.unseen > 1 else 0.0

    async def _handle(self, held: EntryInHand) -> Exception | None:
        deadline_s = self._settings.deadline_s
        try:
            with anyio.move_on_after(deadline_s) as deadline:
                await self._work.handler(decode(held.entry))
        except Exception as error:  # noqa: BLE001 - however a handler fails, its entry has an end
            return error
        return TimeoutError(f"no end within {deadline_s} s") if deadline.cancelled_caught else None

    async def _end(self, held: EntryInHand, outcome: Outcome) -> float | None:
        if isinstance(outcome, Retry):
            return await self._try_later(held, outcome)
        if isinstance(outcome, DeadLetter):
            await self._give_up(held, outcome)
        else:
            await self._acknowledge([held])
            note_ended("skipped" if isinstance(outcome, Skipped) else "handled")
        return None

    async def _try_later(self, held: EntryInHand, retry: Retry) -> float | None:
        held.failures += 1
        after_s = retry.after_s
        if not await until_served(lambda: self._entries.note(held, after_s, retry.error)):
            self._let_go(held)
            return None
        note_ended("retried")
        self._log.warning(
            "entry_retried",
            entry_id=str(held.entry_id),
            failures=held.failures,
            after_s=round(after_s, 3),
            error=retry.error,
        )
        return after_s

    async def _give_up(self, held: EntryInHand, letter: DeadLetter) -> None:
        if await until_served(lambda: self._entries.give_up(held, letter)):
            note_ended("dead")
            self._log.error(
                "entry_dead",
                entry_id=str(held.entry_id),
                tries=held.begun,
                reason=letter.reason,
                error=letter.error,
            )
        self._forget([held])

    async def _acknowledge(self, done: Sequence[EntryInHand]) -> None:
        if done:
            ids = [held.entry_id for held in done]
            await until_served(lambda: self._entries.acknowledge(ids))
            self._forget(done)

    def _let_go(self, held: EntryInHand) -> None:
        self._log.warning("entry_gone", entry_id=str(held.entry_id), why="not pending any more")
        self._forget([held])

    def _forget(self, ended: Sequence[EntryInHand]) -> None:
        for held in ended:
            self.held.pop(held.entry_id, None)
        self._freed.set()
