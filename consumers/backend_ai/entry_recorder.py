"""Record in our log what entries of Backend.AI's stream say."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Literal, get_args
from uuid import UUID, uuid5

import msgspec

from consumers.backend_ai.foreign_entry import ForeignEntry
from consumers.backend_ai.handoff_reader import HandoffReader
from consumers.errors import TryLaterError
from consumers.handlers.server_wait import until_served
from consumers.runtime.progress import note_finding
from events.catalogue.event import Event
from events.entry.entry_id import EntryId
from events.entry.position import time_of
from events.errors import (
    ConflictError,
    ServerRefusedError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.structured_logger import structured_logger
from producers.backend_ai import wire
from producers.backend_ai.handoff_key import HandoffValues, MissingHandoffKeyError, ProblemKind
from producers.backend_ai.log_translation import LogTranslation
from producers.errors import ProducersError

OWN_SOURCE = b"routestream"
"""The source of what we wrote into Backend.AI's stream ourselves."""

STATUS_WAIT_S = 10.0
"""How long a status waits for the list that names its session."""

STATUS_TRIES_MAX = 15
"""Tries after which it waits no longer: those of all processes that had it count."""

SESSIONS_WAITING_MAX = 500
"""Sessions whose statuses wait at a time, at most; those of one more are unmatched at once."""

Finding = Literal[
    "recorded",
    "unchanged",
    "echo",
    "redelivered",
    "unmatched",
    "list_refused",
    "key_missing",
    "route_refused",
    "health_check_refused",
]
"""What was found in an entry; the last four are told with their reason.

Recorded, unchanged: it led to events, or to none. Echo: we wrote it. Redelivered: a copy for
another group. Unmatched: a status of a session that no list names. The last three are parts of a
list; a list may also be refused for a missing key.
"""

FINDINGS: tuple[str, ...] = get_args(Finding)

_EVENT_IDS = UUID("5b0d6f2e-6a39-5c51-9d0b-3f1f0c8f7a44")
_MICROSECONDS_MAX = 999
_FORGOTTEN_AFTER_S = 2 * STATUS_WAIT_S

_log = structured_logger(__name__)


class _Awaited(msgspec.Struct, frozen=True):
    """Since when a session's list is awaited: by its first status, and by the monotonic clock."""

    first_ms: int
    first_at: float

    def since(self, status_ms: int, now: float) -> float:
        """Return when the wait of a status began, also where one before it was in its way."""
        return min(now, self.first_at + (status_ms - self.first_ms) / 1_000)

    def is_over(self, now: float) -> bool:
        return now - self.first_at > _FORGOTTEN_AFTER_S


class EntryRecorder:
    """Records one entry at a time.

    What an entry leads to is decided on the state of our log, and appended only if the endpoint has
    not changed since. The id of each event is made of the entry and of what the event says: so an
    entry that comes again, after a crash or in another process, is recorded once.
    """

    def __init__(self, state: LogTranslation, handoff: HandoffReader) -> None:
        self._state = state
        self._handoff = handoff
        self._waiting: dict[UUID, _Awaited] = {}

    async def __call__(self, entry: ForeignEntry) -> None:
        """Record *entry*; while either server is away, wait.

        Raises:
            TryLaterError: No list names its session yet, or others changed the endpoint meanwhile.
        """
        if entry.source == OWN_SOURCE:
            note_finding("echo")
        elif entry.copies:
            note_finding("redelivered")
        else:
            await until_served(lambda: self._record_or_wait(entry))

    async def _record_or_wait(self, entry: ForeignEntry) -> None:
        """Record *entry*; a server that does not do its part is waited for.

        An entry can be repeated whatever became of the last append, and it must not be given up on
        because an account lacks a right.
        """
        try:
            await self._record(entry)
        except (UncertainAppendError, ServerRefusedError) as error:
            raise ServerUnavailableError(str(error)) from error

    async def _record(self, entry: ForeignEntry) -> None:
        endpoint_id = await self._endpoint_of(entry.content)
        if endpoint_id is None:
            self._wait_or_give_up(entry)
            return
        head = await self._state.head(endpoint_id)
        values: HandoffValues = {}
        if isinstance(entry.content, wire.RouteListUpdated):
            # After the head: if the keys were written since, a newer entry comes that says so.
            values = await self._handoff.read(endpoint_id)
        try:
            translated = self._state.translate(entry.fields, _observed_at(entry), values)
        except ProducersError as error:
            self._tell_refused(entry, endpoint_id, error)
            return
        if translated.outcome == "unresolved":
            self._wait_or_give_up(entry)
            return
        if translated.events:
            await self._append(entry, translated.events, head)
        if isinstance(entry.content, wire.StatusUpdated):
            self._waiting.pop(entry.content.session_id, None)
        for found in translated.problems:
            _tell(found.kind, entry, endpoint_id, found.problem)
        note_finding("recorded" if translated.events else "unchanged")

    async def _endpoint_of(self, content: wire.WireEvent) -> UUID | None:
        match content:
            case wire.RouteListUpdated(endpoint_id=endpoint_id):
                return endpoint_id
            case (
                wire.StatusUpdated(session_id=session_id)
                | wire.SessionChanged(session_id=session_id)
            ):
                return await self._state.endpoint_of(session_id)
            case wire.Other():
                return None

    async def _append(self, entry: ForeignEntry, events: Sequence[Event], head: EntryId) -> None:
        event_ids = [_event_id(entry, event) for event in events]
        try:
            await self._state.append(events, event_ids, head)
        except ConflictError as error:
            # A new try, which only the owner of the stream may begin, decides again.
            raise TryLaterError(str(error), after_s=0.0) from error

    def _wait_or_give_up(self, entry: ForeignEntry) -> None:
        """Let a status wait for its list, or tell that none came."""
        if not isinstance(entry.content, wire.StatusUpdated):
            return
        session_id = entry.content.session_id
        if entry.tries < STATUS_TRIES_MAX and self._may_wait(session_id, entry.entry_id):
            raise TryLaterError(f"no route list names session {session_id} yet", after_s=0.0)
        note_finding("unmatched")
        _log.warning(
            "status_unmatched",
            entry_id=str(entry.entry_id),
            session_id=str(session_id),
            new_status=entry.content.new_status,
        )

    def _may_wait(self, session_id: UUID, entry_id: EntryId) -> bool:
        """Return whether the list of a session may still come for its status *entry_id*."""
        now = monotonic()
        while self._waiting and next(iter(self._waiting.values())).is_over(now):
            del self._waiting[next(iter(self._waiting))]
        if session_id not in self._waiting and len(self._waiting) < SESSIONS_WAITING_MAX:
            self._waiting[session_id] = _Awaited(entry_id.ms, now)
        awaited = self._waiting.get(session_id)
        return awaited is not None and now - awaited.since(entry_id.ms, now) < STATUS_WAIT_S

    def _tell_refused(self, entry: ForeignEntry, endpoint_id: UUID, error: ProducersError) -> None:
        is_missing = isinstance(error, MissingHandoffKeyError)
        _tell("key_missing" if is_missing else "list_refused", entry, endpoint_id, str(error))


def _tell(
    finding: ProblemKind | Literal["list_refused"],
    entry: ForeignEntry,
    endpoint_id: UUID,
    problem: str,
) -> None:
    note_finding(finding)
    _log.warning(
        finding,
        entry_id=str(entry.entry_id),
        endpoint_id=str(endpoint_id),
        problem=problem,
    )


def _observed_at(entry: ForeignEntry) -> datetime:
    # The same for each delivery of the entry, and in the order of the entries.
    return time_of(entry.entry_id) + timedelta(
        microseconds=min(entry.entry_id.seq, _MICROSECONDS_MAX)
    )


def _event_id(entry: ForeignEntry, event: Event) -> UUID:
    """Return the same id whenever the entry leads to this event."""
    content = msgspec.json.encode(event).decode()
    return uuid5(_EVENT_IDS, f"{entry.entry_id} {event.wire_name} {content}")
