"""Keeps what operators did to groups and dead letters by hand: who, when and why."""

import getpass
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from events.log.log import EventLog
from events.server.reply import reply_entries

OPERATIONS_MAX = 1_000
"""Operations that a partition keeps, approximately."""

REASON_CHARACTERS_MAX = 500

_READ_COUNT = 200


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One change that somebody made by hand.

    Attributes:
        group: The group that was changed.
        what: The command.
        who: User and host.
        reason: Why, in their own words; "" if none was given.
        before: The value before the change.
        after: The value after it.
        at: When, by the clock of the user's host.
    """

    group: str
    what: str
    who: str
    reason: str = ""
    before: str = ""
    after: str = ""
    at: str


def operation(group: str, what: str, reason: str) -> Operation:
    """Return an operation that the user of this process performs now."""
    return Operation(
        group=group,
        what=what,
        who=f"{_user()}@{socket.gethostname()}",
        reason=reason[:REASON_CHARACTERS_MAX],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def as_arguments(what: Operation) -> list[str | int]:
    """Return *what* as the arguments of scripts that make a change and note it in one step.

    They are the number of operations kept, then fields and values without before and after.
    """
    fields = {name: getattr(what, name) for name in ("group", "what", "who", "reason", "at")}
    return [OPERATIONS_MAX, *(part for field in fields.items() for part in field)]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # what it raises depends on Python and on the system
        return f"uid {os.getuid()}"


async def newest_operations(
    log: EventLog, partition: int, group: str, count: int
) -> list[Operation]:
    """Return the newest *count* operations on *group*, oldest first, of the last few hundred."""
    raw = await log.server.client.call(
        "XREVRANGE", log.keys.operations(partition), "+", "-", "COUNT", _READ_COUNT
    )
    found = []
    for _, flat in reply_entries(raw):
        strings = [part.decode("utf-8", "replace") for part in flat]
        fields = dict(zip(strings[::2], strings[1::2], strict=True))
        if fields.get("group") == group:
            with suppress(msgspec.ValidationError):  # another program's
                found.append(msgspec.convert(fields, Operation))
    return found[count - 1 :: -1] if len(found) >= count else found[::-1]
