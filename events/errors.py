"""Errors of events and their log; each message is a sentence that an operator can act on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from events.entry.entry_id import EntryId

_SHOWN_CHARACTERS = 200


class EventsError(Exception):
    """Base class of all errors of events and their log."""


def first_failure(error: Exception) -> Exception:
    """Return the first failure in *error* if it is an exception group of tasks, else *error*."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class InvalidEventError(EventsError, ValueError):
    """An event breaks a rule of its type; the message names the field, its value and the limit."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InvalidNamespaceError(EventsError, ValueError):
    """A namespace cannot be a part of keys and of folders."""

    def __init__(self, namespace: str, characters_max: int) -> None:
        shown = ascii(namespace[:_SHOWN_CHARACTERS])
        super().__init__(
            f"namespace must be 1 to {characters_max} letters, digits, '.', '_', ':' or '-', the"
            f" first a letter or digit, got {shown} ({len(namespace)} characters)"
        )


class InvalidPositionError(EventsError, ValueError):
    """A position is not start, end, an entry id, an RFC 3339 time or a span such as -2h."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"position {text!r}: {problem}")


class TrimmedError(EventsError):
    """Requested entries were trimmed, and no archive has them.

    *after* and *first* are the entry ids between which they lay, both excluded; *first* is None if
    no entry is left after them.
    """

    def __init__(
        self, partition: int, after: tuple[int, int], first: tuple[int, int] | None, count: int
    ) -> None:
        until = "the end of the stream" if first is None else f"{first}, the first entry left,"
        super().__init__(
            f"partition {partition}: {count} entries after {after} and before {until} were trimmed"
            " or deleted, and the archive does not have them"
        )
        self.partition = partition
        self.after = after
        self.first = first
        self.count = count


class InvalidExpressionError(EventsError, ValueError):
    """A filter expression cannot be parsed; the message names the character, counted from 1."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        shown = f"{text[:_SHOWN_CHARACTERS]}..." if len(text) > _SHOWN_CHARACTERS else text
        super().__init__(f"expression {shown!r}, character {at + 1}: {problem}")
        self.at = at


class DamagedValueError(EventsError):
    """A stored value is not what is written there: damaged, or written by another program."""


class UndecodableEntryError(EventsError):
    """An entry of a known type cannot be read."""


class UnknownEventTypeError(EventsError):
    """An entry's name is not one of the types known here."""

    def __init__(self, name: str) -> None:
        super().__init__(f"event type {name!r} is not known here")
        self.name = name


class ConflictError(EventsError):
    """The endpoint has newer events than the state on which a decision was made.

    *expected* and *head* are entry ids.
    """

    def __init__(self, endpoint_id: UUID, expected: tuple[int, int], head: tuple[int, int]) -> None:
        super().__init__(
            f"endpoint {endpoint_id} is at {head}, not at {expected} as expected;"
            " read it again and decide again"
        )
        self.endpoint_id = endpoint_id
        self.expected = expected
        self.head = head


class AppendError(EventsError):
    """An append did not end as asked, and events of it are in the log, or may be.

    Appending the same events again with *event_ids* completes it, and doubles nothing.

    Attributes:
        event_ids: The ids of its events, in their order.
        entry_ids: The entry id of each, None where the event is not known to be in the log.
    """

    def __init__(
        self,
        problem: str,
        event_ids: Sequence[UUID],
        entry_ids: Sequence["EntryId | None"],
    ) -> None:
        super().__init__(problem)
        self.event_ids = tuple(event_ids)
        self.entry_ids = tuple(entry_ids)


class UncertainAppendError(AppendError):
    """No reply said whether the events were appended."""

    def __init__(self, event_ids: Sequence[UUID], attempts: int, cause: str) -> None:
        self.event_id = str(event_ids[0])
        super().__init__(
            f"no reply to {attempts} tries to append event {self.event_id} ({cause});"
            " it may or may not be in the log: append it again with this event id,"
            " which adds it only if it is not there",
            event_ids,
            [None] * len(event_ids),
        )


class NotDurableError(AppendError):
    """The events are in the log, but the requested durability was not confirmed."""


class SealedLogError(AppendError):
    """The log is being moved, and was not at its new place in time.

    What was appended before is there; an append that repeats these event ids completes it.
    """

    def __init__(self, event_ids: Sequence[UUID]) -> None:
        super().__init__(
            "the log is sealed while it moves to its new place, and was not there in time; see that"
            " the command that moves it goes on, or wait until the seal has expired",
            event_ids,
            [None] * len(event_ids),
        )


class IncompleteAppendError(AppendError):
    """An append over several partitions stopped: some events are in the log, others are not.

    The message and the cause say why; the last partition tried may have its events or not, if the
    cause is UncertainAppendError.
    """

    def __init__(
        self, cause: str, event_ids: Sequence[UUID], entry_ids: Sequence["EntryId | None"]
    ) -> None:
        landed = sum(entry_id is not None for entry_id in entry_ids)
        super().__init__(
            f"{landed} of {len(entry_ids)} events are known to be in the log, then: {cause}; append"
            " the same events again with the event ids of this error, which adds those missing",
            event_ids,
            entry_ids,
        )


class LayoutError(EventsError):
    """The log's number of partitions is not known, or differs from the one it was opened with."""


class ServerUnavailableError(EventsError):
    """The server cannot be reached, or cannot serve now; trying again later may help."""


class ServerRefusedError(EventsError):
    """The server refuses a command, and would refuse it again."""


class NotAdmittedError(ServerRefusedError):
    """The server does not let us in: it refuses the login or the database, so every command."""


class UnknownCommandError(ServerRefusedError):
    """The server does not have the command: it is renamed, switched off, or newer than it."""


class UnexpectedReplyError(ServerRefusedError):
    """The server's reply is not of the form that the command is known to return."""


class WrongTypeError(ServerRefusedError):
    """One of *keys* holds a value of another type than it should."""

    def __init__(self, message: str, keys: Sequence[str]) -> None:
        super().__init__(message)
        self.keys = keys


class NoGroupError(ServerRefusedError):
    """The stream or the consumer group does not exist (any more)."""
