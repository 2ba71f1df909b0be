"""Tries each entry that an owner has in hand, and ends it."""

from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

import anyio

from consumers.errors import LeaseLostError
from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.handler_settings import TOLD_MAX_S, HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.handlers.hands import Hands
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
from consumers.runtime.progress import note_ended
from events.errors import EventsError, ServerRefusedError, ServerUnavailableError
from events.structured_logger import structured_logger

_TAKE_BACK_TIMEOUT_S = 0.5


class Tries:
    """Tries and ends the entries in the hands of one owner.

    Failures and tries that never ended are counted separately, both in Redis: a restart or a
    change of owner neither resets a count nor tries an entry before it is due.
    """

    def __init__(
        self, group: str, entries: OwnedEntries, work: HandlerWork, settings: HandlerSettings
    ) -> None:
        self.hands = Hands(settings.held_max)
        self._entries = entries
        self._work = work
        self._settings = settings
        # A due time that was noted before a backward clock step must not delay an entry for long.
        self._wait_max_s = max(settings.policy.most_s, TOLD_MAX_S)
        self._log = structured_logger(__name__).bind(group=group)

    def is_wanted(self, held: EntryInHand) -> bool:
        """Whether *held* has to be tried; otherwise it is skipped."""
        return self._work.wants(held.entry.fields.get(b"name"))

    def date(self, held: EntryInHand) -> None:
        """Delay *held* if it may have killed its process repeatedly; limit its delay."""
        now = monotonic()
        unseen_s = self._settings.policy.delay_s(held.unseen - 1) if held.unseen > 1 else 0.0
        held.due_at = min(now + self._wait_max_s, max(held.due_at, now + unseen_s))

    async def skip(self, skipped: Sequence[EntryInHand]) -> None:
        """End entries that nobody wants."""
        await self._acknowledge(skipped)
        note_ended("skipped", len(skipped))

    async def attempt(self, held: EntryInHand) -> bool:
        """Try *held* once; return whether it has ended. If not, it is due again later."""
        try:
            event = self._work.read(held.delivery)
        except EventsError as broken:
            return await self._end(held, outcome_of(broken, held.begun, self._settings.policy))
        if held.unseen >= self._settings.unseen_max:
            return await self._end(held, given_up_unseen(held.unseen))
        held.begun += 1
        # Note the try before it begins: a process that dies of it cannot note it afterwards.
        if not await until_served(lambda: self._entries.note(held)):
            self._let_go(held)
            return True
        try:
            error = await self._handle(event)
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

    async def _handle(self, event: object) -> Exception | None:
        deadline_s = self._settings.deadline_s
        try:
            with anyio.move_on_after(deadline_s) as deadline:
                await self._work.handler(event)
        except Exception as error:  # noqa: BLE001 - however a handler fails, its entry has an end
            return error
        return TimeoutError(f"no end within {deadline_s} s") if deadline.cancelled_caught else None

    async def _end(self, held: EntryInHand, outcome: Outcome) -> bool:
        if isinstance(outcome, Retry):
            return await self._try_later(held, outcome)
        if isinstance(outcome, DeadLetter):
            await self._give_up(held, outcome)
        else:
            await self._acknowledge([held])
            note_ended("skipped" if isinstance(outcome, Skipped) else "handled")
        return True

    async def _try_later(self, held: EntryInHand, retry: Retry) -> bool:
        held.failures += 1
        after_s = retry.after_s
        if not await until_served(lambda: self._entries.note(held, after_s, retry.error)):
            self._let_go(held)
            return True
        held.due_at = monotonic() + after_s
        self.hands.wake()
        note_ended("retried")
        self._log.warning(
            "entry_retried",
            entry_id=str(held.entry_id),
            failures=held.failures,
            after_s=round(after_s, 3),
            error=retry.error,
        )
        return False

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
        self.hands.forget([held])

    async def _acknowledge(self, done: Sequence[EntryInHand]) -> None:
        if done:
            ids = [held.entry_id for held in done]
            await until_served(lambda: self._entries.acknowledge(ids))
            self.hands.forget(done)

    def _let_go(self, held: EntryInHand) -> None:
        self._log.warning("entry_gone", entry_id=str(held.entry_id), why="not pending any more")
        self.hands.forget([held])
