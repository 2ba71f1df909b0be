"""What a try of an entry comes to, and how that is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import anyio
import anyio.lowlevel

from consumers.handlers.entry_in_hand import EntryInHand
from consumers.handlers.handler_settings import TOLD_MAX_S, HandlerSettings
from consumers.handlers.handler_work import HandlerWork
from consumers.handlers.hands import Hands
from consumers.handlers.owned_entries import NotedTry, OwnedEntries
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
from events.entry.entry_id import EntryId
from events.errors import EventsError
from events.structured_logger import structured_logger


@dataclass(slots=True)
class Try:
    """One try of an entry: the event that is handled, and what came of it."""

    held: EntryInHand
    event: object
    outcome: Outcome | None = None

    @property
    def noted(self) -> NotedTry:
        """How it is noted in Redis, before it begins and after it has failed."""
        held, retry = self.held, self.outcome
        if isinstance(retry, Retry):
            return NotedTry(held.entry_id, held.begun, held.failures, retry.after_s, retry.error)
        return NotedTry(held.entry_id, held.begun, held.failures)


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
        if skipped:
            done = [held.entry_id for held in skipped]
            await until_served(lambda: self._entries.settle(done))
            note_ended("skipped", len(skipped))

    def begin(self, held: EntryInHand) -> Try:
        """Begin a try of *held*; what cannot be read, or may kill its process, has its outcome."""
        try:
            event = self._work.read(held.delivery)
        except EventsError as broken:
            return Try(held, None, outcome_of(broken, held.begun, self._settings.policy))
        if held.unseen >= self._settings.unseen_max:
            return Try(held, None, given_up_unseen(held.unseen))
        held.begun += 1
        return Try(held, event)

    async def carry_out(self, one: Try) -> Outcome:
        """Have the event handled; return what the try came to."""
        deadline_s, error = self._settings.deadline_s, None
        try:
            with anyio.move_on_after(deadline_s) as deadline:
                try:
                    await self._work.handler(one.event)
                except anyio.get_cancelled_exc_class() as raised:
                    await anyio.lowlevel.checkpoint_if_cancelled()  # what cancels us goes on
                    raise RuntimeError("the handler met a cancellation from elsewhere") from raised
        except Exception as raised:  # noqa: BLE001 - however a handler fails, its entry has an end
            error = raised
        if deadline.cancelled_caught:
            error = TimeoutError(f"no end within {deadline_s} s")
        return outcome_of(error, one.held.failures + 1, self._settings.policy)

    async def settle(self, done: Sequence[Try], noted: Sequence[Try]) -> set[EntryId]:
        """End the tries *done*, and note those that begin or have failed, in one step.

        Returns the entries of *noted* that are no longer pending.
        """
        ended = [one.held.entry_id for one in done]
        gone = await self._entries.settle(ended, [one.noted for one in noted])
        self.hands.forget([one.held for one in done])
        skipped = sum(isinstance(one.outcome, Skipped) for one in done)
        note_ended("skipped", skipped)
        note_ended("handled", len(done) - skipped)
        return gone

    def put_off(self, held: EntryInHand, retry: Retry) -> None:
        """Have *held*, whose failure was noted, tried again later."""
        held.due_at = monotonic() + retry.after_s
        note_ended("retried")
        self._log.warning(
            "entry_retried",
            entry_id=str(held.entry_id),
            failures=held.failures,
            after_s=round(retry.after_s, 3),
            error=retry.error,
        )

    async def give_up(self, held: EntryInHand, letter: DeadLetter) -> None:
        """Move *held* to the dead letters."""
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

    def let_go(self, held: EntryInHand) -> None:
        """Forget *held*, which is no longer pending."""
        self._log.warning("entry_gone", entry_id=str(held.entry_id), why="not pending any more")
        self.hands.forget([held])
