"""What can go wrong with events and their log; each message is a sentence to act on."""

from collections.abc import Sequence
from uuid import UUID

_SHOWN_CHARACTERS = 200


class EventsError(Exception):
    """Something about an event or the log is not as it must be."""


def first_failure(error: Exception) -> Exception:
    """Return the first failure of those that happened together in task groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class InvalidEventError(EventsError, ValueError):
    """An event breaks a rule of its type: the field, its value and the limit are named."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InvalidPositionError(EventsError, ValueError):
    """A position is none of: start, end, an entry id, an RFC 3339 time, a span such as -2h."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"position {text!r}: {problem}")


class TrimmedError(EventsError):
    """Entries that were asked for were trimmed, and no archive has them.

    *after* and *first* are entry ids between which they lay, both not included; *first* is None
    where nothing is left behind them.
    """

    def __init__(
        self, partition: int, after: tuple[int, int], first: tuple[int, int] | None, count: int
    ) -> None:
        until = "the end of the stream" if first is None else f"{first}, the first one left"
        super().__init__(
            f"partition {partition}: {count} entries after {after} and before {until}, were trimmed"
            " or deleted, and the archive does not have them"
        )
        self.partition = partition
        self.after = after
        self.first = first
        self.count = count


class InvalidExpressionError(EventsError, ValueError):
    """A filter's expression cannot be read: the place in it is named, counted from 1."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        shown = f"{text[:_SHOWN_CHARACTERS]}..." if len(text) > _SHOWN_CHARACTERS else text
        super().__init__(f"expression {shown!r}, character {at + 1}: {problem}")
        self.at = at


class UndecodableEntryError(EventsError):
    """An entry of a known type cannot be read."""


class UnknownEventTypeError(EventsError):
    """An entry's name is not one of the types known here."""

    def __init__(self, name: str) -> None:
        super().__init__(f"event type {name!r} is not known here")
        self.name = name


class ConflictError(EventsError):
    """The endpoint has moved on since the state that a decision was made on.

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


class UncertainAppendError(EventsError):
    """No reply told whether the events landed; appending them again with their ids is safe."""

    def __init__(self, event_id: str, attempts: int, cause: str) -> None:
        super().__init__(
            f"no reply to {attempts} tries to append event {event_id} ({cause});"
            " it may or may not be in the log, look for its id before recording it anew"
        )
        self.event_id = event_id


class NotDurableError(EventsError):
    """The events are in the log, but not yet as safe as was asked for."""


class LayoutError(EventsError):
    """How many partitions the log has is not known, or not what it was opened with."""


class ServerUnavailableError(EventsError):
    """The server cannot be reached, or cannot serve now; trying again later may help."""


class ServerRefusedError(EventsError):
    """The server refuses a command, and would refuse it again."""


class UnexpectedReplyError(ServerRefusedError):
    """The server answers with something else than what the command is known to answer."""


class WrongTypeError(ServerRefusedError):
    """A key holds something else than what belongs there; it is one of *keys*."""

    def __init__(self, told: str, keys: Sequence[str]) -> None:
        super().__init__(told)
        self.keys = keys


class NoGroupError(ServerRefusedError):
    """The stream or the consumer group does not exist (any more)."""
