"""How an entry's delivery ends, and the policy of its retries."""

from typing import Annotated

import msgspec
from msgspec import Meta

from consumers.errors import TryLaterError, UnprocessableError
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import UndecodableEntryError, UnknownEventTypeError
from events.limits import Limited
from events.server.backoff import Backoff

WAIT_MAX_S = 3_600.0
"""The upper limit of settings for waits and for the duration of a try."""

WaitSeconds = Annotated[float, Meta(ge=0.001, le=WAIT_MAX_S)]


class Handled(msgspec.Struct, frozen=True):
    """The work is done; the entry is acknowledged."""


class Skipped(msgspec.Struct, frozen=True):
    """The group has no work for it; the entry is acknowledged."""


class Retry(msgspec.Struct, frozen=True):
    """The try failed; the entry stays pending and is tried again after *after_s* seconds.

    *error* says why; it is "" where the entry was not the cause.
    """

    after_s: float
    error: str = ""


class DeadLetter(msgspec.Struct, frozen=True):
    """The entry is given up on: moved to the group's dead letters, with the reason."""

    reason: str
    error: str = ""


Outcome = Handled | Skipped | Retry | DeadLetter


class RetryPolicy(Limited, frozen=True):
    """How often a failing entry is tried, and how long it waits in between.

    Attributes:
        tries_max: Tries after which an entry that fails is a dead letter.
        first_s: The wait after a first failure, about; it doubles with each further one.
        most_s: The longest wait between two tries, unless the other side asked for more.
    """

    tries_max: Annotated[int, Meta(ge=1, le=1_000)] = 5
    first_s: WaitSeconds = 0.1
    most_s: WaitSeconds = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first_s > self.most_s:
            raise ValueError(f"first_s must be at most most_s ({self.most_s}), got {self.first_s}")

    def delay_s(self, failures: int) -> float:
        """Return the wait after *failures* failures in a row (1 or more), in seconds."""
        return Backoff(self.first_s, self.most_s).delay_s(failures)


def outcome_of(error: Exception | None, tries: int, policy: RetryPolicy) -> Outcome:
    """Decide how a try ends that raised *error* (None: nothing); *tries* includes that try."""
    match error:
        case None:
            return Handled()
        case UnknownEventTypeError():
            return Skipped()
        case UndecodableEntryError():
            return DeadLetter("undecodable", str(error))
        case UnprocessableError():
            return DeadLetter(error.reason, str(error))
        case _ if tries >= policy.tries_max:
            return DeadLetter(f"failed {tries} times", _shown(error))
        case _:
            requested_s = error.after_s if isinstance(error, TryLaterError) else 0.0
            return Retry(max(requested_s, policy.delay_s(tries)), _shown(error))


def given_up_unseen(deliveries: int) -> DeadLetter:
    """Return the outcome of an entry whose deliveries all ended without one."""
    return DeadLetter(f"delivered {deliveries} times without an outcome", "its consumers died")


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """An entry, and how often it was delivered, including this delivery."""

    entry: Entry
    deliveries: int = 1

    @property
    def entry_id(self) -> EntryId:
        """The entry's id in its partition."""
        return self.entry.entry_id
