"""Tries each entry that an owner has in hand, and ends it."""

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

    Failures and tries that never ended are counted separately, both in Redis: a restart or a
    change of owner neither resets a count nor tries an entry before it is due.

    Attributes:
        held: The entries in hand, in the order of their ids.
    """

    def __init__(
        self, group: str, entries: OwnedEntries, work: HandlerWork, settings: HandlerSettings
    ) -> None:
        self.held: dict[EntryId, EntryInHand] = {}
        self._entries = entries
        self._work = work
        self._settings = settings
        # A due time that was noted before a backward clock step must not delay an entry for long.
        self._wait_max_s = max(settings.policy.most_s, TOLD_MAX_S)
        self._freed = anyio.Event()
        self._stopping = False
        self._log = structured_logger(__name__).bind(group=group)

    def stop(self) -> None:
        """End every wait for room."""
        self._stopping = True
        self._freed.set()

    async def room(self) -> int:
        """Wait until there is room for entries; return for how many, 0 after a stop."""
        while not self._stopping:
            if room := self._settings.held_max - len(self.held):
                return room
            self._freed = anyio.Event()
            with waiting():
                await self._freed.wait()
        return 0

    async def hold(self, found: Iterable[EntryInHand]) -> list[tuple[UUID, EntryInHand]]:
        """Take *found* into hand; return the entries to try, and end the others."""
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
        """Try *held* once; return the seconds until its next try, None if it has ended."""
        if held.unseen >= self._settings.unseen_max:
            return await self._end(held, given_up_unseen(held.unseen))
        held.begun += 1
        # Note the try before it begins: a process that dies of it cannot note it afterwards.
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
        """Uncount a try that was cancelled from outside: it says nothing against its entry.

        After a lost lease that cannot be noted, and the try counts as one that never ended.
        """
        held.begun -= 1
        with (
            anyio.move_on_after(_TAKE_BACK_TIMEOUT_S, shield=True),
            suppress(LeaseLostError, ServerUnavailableError, ServerRefusedError),
        ):
            await self._entries.note(held)

    def _unseen_delay_s(self, held: EntryInHand) -> float:
        """Return a delay for an entry that may have killed its process repeatedly, else 0."""
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
