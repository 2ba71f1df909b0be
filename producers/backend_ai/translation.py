"""Translate Backend.AI's commands into events of ours."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.catalogue.endpoint import EndpointHealthCheckUpdatedEvent
from events.catalogue.event import Event
from events.entry.entry_id import START
from events.entry.recorded import RecordedEvent
from events.errors import InvalidEventError
from producers.backend_ai import handoff, wire
from producers.backend_ai.handoff_key import (
    HandoffKey,
    HandoffProblem,
    HandoffValues,
    MalformedHandoffError,
)
from producers.endpoints import decisions
from producers.errors import ProducersError
from producers.life_cycle.session_effects import SessionChange, session_changed
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE

CommandOutcome = Literal[
    "handed_over",
    "translated",
    "unchanged",
    "unresolved",
    "redelivered",
    "refused",
    "other_names",
    "broadcasts",
    "other_commands",
]


class TranslationCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many commands had each outcome; each command is counted once.

    Attributes:
        handed_over: Values for hand-off keys, kept for the next list.
        translated: Entries that led to events.
        unchanged: Entries that changed nothing.
        unresolved: Statuses of sessions that no list names.
        redelivered: Copies of a status whose route already has a health, or of a session's event.
        refused: Entries that could not be read or applied.
        other_names: Entries of events that say nothing about routes.
        broadcasts: Published messages; each repeats an entry of the stream.
        other_commands: All other commands.
        events: Events that the translated entries led to; not a number of commands.
    """

    handed_over: int = 0
    translated: int = 0
    unchanged: int = 0
    unresolved: int = 0
    redelivered: int = 0
    refused: int = 0
    other_names: int = 0
    broadcasts: int = 0
    other_commands: int = 0
    events: int = 0


class Translated(msgspec.Struct, frozen=True):
    """What one entry of Backend.AI's stream leads to.

    Attributes:
        outcome: What became of it.
        events: The events to append, all of one endpoint.
        problems: The parts of its hand-off that are missing or refused.
    """

    outcome: CommandOutcome
    events: tuple[Event, ...] = ()
    problems: tuple[HandoffProblem, ...] = ()


class Translation:
    """Turns commands into events, one after another, on the state folded from our own log.

    The caller folds the log with `evolve`, and folds the events of each command before it
    translates the next one: a decision is only as good as its state. This class neither reads nor
    writes anything.

    A caller that reads the live stream passes the values of the hand-off keys with the entry to
    `translate_entry`.
    """

    def __init__(self) -> None:
        self._endpoints: dict[UUID, Endpoint] = {}
        self._sessions: dict[UUID, tuple[UUID, UUID]] = {}
        self._values: dict[HandoffKey, bytes] = {}
        self._problems: tuple[HandoffProblem, ...] = ()
        self._outcomes: Counter[str] = Counter()
        self._events = 0

    @property
    def endpoints(self) -> Mapping[UUID, Endpoint]:
        """The endpoints as folded so far."""
        return MappingProxyType(self._endpoints)

    @property
    def counts(self) -> TranslationCounts:
        """The outcomes of the commands so far."""
        return TranslationCounts(events=self._events, **self._outcomes)

    @property
    def problems(self) -> tuple[HandoffProblem, ...]:
        """What the hand-off of the last entry lacked, or was refused of it."""
        return self._problems

    def translate(self, args: Sequence[bytes], observed_at: datetime) -> tuple[Event, ...]:
        """Return the events that a Redis command (its name first) leads to, often none.

        Args:
            args: The command: its name, then its arguments.
            observed_at: When it was seen, with its zone; a status is recorded with it.

        Raises:
            ProducersError: An entry of Backend.AI's stream cannot be read, a hand-off key is
                missing or broken, or the endpoint was destroyed. The command is counted as
                refused, the state does not change, and the next command can be translated.
        """
        self._problems = ()
        name = args[0].upper() if args else b""
        if name == b"SET" and len(args) > 2 and (key := HandoffKey.parse(args[1])):
            self.hand_over(key, args[2])
            self._outcomes["handed_over"] += 1
        elif name == b"XADD" and len(args) > 1 and args[1] == wire.STREAM:
            return self._translate_xadd(args, observed_at)
        elif name == b"PUBLISH":
            self._outcomes["broadcasts"] += 1
        else:
            self._outcomes["other_commands"] += 1
        return ()

    def hand_over(self, key: HandoffKey, value: bytes | None) -> None:
        """Store the value of a hand-off key, None where it is missing; decoded when needed."""
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value

    def _translate_xadd(self, args: Sequence[bytes], observed_at: datetime) -> tuple[Event, ...]:
        try:
            fields = wire.xadd_fields(args)
        except ProducersError:
            self._outcomes["refused"] += 1
            raise
        translated = self.translate_entry(fields, observed_at, self._values)
        self._problems = translated.problems
        return translated.events

    def translate_entry(
        self, fields: Mapping[bytes, bytes], observed_at: datetime, values: HandoffValues
    ) -> Translated:
        """Return what one entry of Backend.AI's stream leads to; see `translate`."""
        try:
            translated = self._decide(fields, observed_at, values)
        except ProducersError:
            self._outcomes["refused"] += 1
            raise
        self._outcomes[translated.outcome] += 1
        self._events += len(translated.events)
        return translated

    def _decide(
        self, fields: Mapping[bytes, bytes], observed_at: datetime, values: HandoffValues
    ) -> Translated:
        match wire.decode(fields):
            case wire.Other():
                return Translated("other_names")
            case wire.RouteListUpdated(endpoint_id=endpoint_id):
                return self._list_updated(endpoint_id, values)
            case wire.StatusUpdated() as content:
                if content.session_id not in self._sessions:
                    return Translated("unresolved")
                if wire.retry_count(fields) and self._health(content) != "not_checked":
                    # A copy may be older than the known health; it counts only where none is known.
                    return Translated("redelivered")
                return self._status_updated(content, observed_at)
            case wire.SessionChanged() as content:
                return self._session_changed(content, is_copy=wire.retry_count(fields) > 0)

    def _list_updated(self, endpoint_id: UUID, values: HandoffValues) -> Translated:
        endpoint = self._endpoints.get(endpoint_id) or ROUTE_TABLE.initial(endpoint_id)
        read = handoff.read(endpoint, values)
        checked: tuple[Event, ...]
        if endpoint.version <= START:
            checked = (
                EndpointHealthCheckUpdatedEvent(
                    endpoint_id=endpoint_id, health_check=read.health_check
                ),
            )
            endpoint = replace(endpoint, version=START.after())
        else:
            checked = decisions.update_health_check(endpoint, read.health_check)
        try:
            events = (*checked, *decisions.set_route_list(endpoint, read.routes))
        except InvalidEventError as error:
            key = HandoffKey(endpoint_id, "route_connection_info")
            raise MalformedHandoffError(key, str(error)) from None
        return Translated("translated" if events else "unchanged", events, read.problems)

    def _status_updated(self, content: wire.StatusUpdated, observed_at: datetime) -> Translated:
        endpoint_id, route_id = self._sessions[content.session_id]
        events = decisions.record_status(
            self._endpoints[endpoint_id], route_id, content.new_status, observed_at=observed_at
        )
        return Translated("translated" if events else "unchanged", events)

    def _session_changed(self, content: wire.SessionChanged, *, is_copy: bool) -> Translated:
        """Decide what becomes of the session's route; a start without an address waits for it."""
        if content.session_id not in self._sessions:
            return Translated("other_names")  # most sessions serve no model
        if is_copy:
            return Translated("redelivered")
        endpoint_id, route_id = self._sessions[content.session_id]
        endpoint = self._endpoints[endpoint_id]
        route = endpoint.routes[route_id]
        if content.status == "running" and (route.kernel_host is None or route.kernel_port is None):
            return Translated("unchanged")
        reason = content.reason or None
        change = SessionChange(
            status=content.status,
            reason=reason,
            errors=(f"session cancelled: {content.reason}".removesuffix(": "),),
        )
        events = session_changed(endpoint, content.session_id, change)
        return Translated("translated" if events else "unchanged", events)

    def _health(self, content: wire.StatusUpdated) -> str:
        endpoint_id, route_id = self._sessions[content.session_id]
        return self._endpoints[endpoint_id].routes[route_id].health

    def endpoint_of(self, session_id: UUID) -> UUID | None:
        """Return the endpoint that has a route with the session, None if none has."""
        found = self._sessions.get(session_id)
        return None if found is None else found[0]

    def begin(self, endpoint: Endpoint) -> None:
        """Begin with the state of an endpoint that was folded elsewhere, such as its document."""
        before = self._endpoints.get(endpoint.endpoint_id) or ROUTE_TABLE.initial(
            endpoint.endpoint_id
        )
        self._endpoints[endpoint.endpoint_id] = endpoint
        self._index(before, endpoint)

    def evolve(self, recorded: RecordedEvent) -> None:
        """Fold an event of our own log, recorded by any producer.

        Raises:
            TooManyRoutesError: The endpoint would follow more routes than the limit.
        """
        endpoint_id = recorded.endpoint_id
        before = self._endpoints.get(endpoint_id) or ROUTE_TABLE.initial(endpoint_id)
        after = ROUTE_TABLE.evolve(before, recorded)
        self._endpoints[endpoint_id] = after
        if after.routes is not before.routes:
            self._index(before, after)

    def _index(self, before: Endpoint, after: Endpoint) -> None:
        """Map sessions to the routes of *after*; the endpoint that listed a session last wins."""
        for route_id, session_id in _sessions_changed(before, after):
            if self._sessions.get(session_id) == (before.endpoint_id, route_id):
                del self._sessions[session_id]
        for route_id, session_id in _sessions_changed(after, before):
            self._sessions[session_id] = (after.endpoint_id, route_id)


def _sessions_changed(endpoint: Endpoint, other: Endpoint) -> Iterator[tuple[UUID, UUID]]:
    """Yield id and session of each listed route that *other* lacks, or has in another state."""
    for route_id, route in endpoint.routes.items():
        if route is other.routes.get(route_id) or route.listed_at <= START:
            continue
        if route.session_id is not None:
            yield route_id, route.session_id
