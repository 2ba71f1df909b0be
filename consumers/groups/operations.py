"""Operations: what people did to groups and dead letters by hand, kept with who, when and why."""

import getpass
import os
import socket
from datetime import UTC, datetime

import msgspec

from events.log.log import EventLog
from events.server.reply import reply_entries

OPERATIONS_MAX = 1_000
"""Operations that a partition keeps, about."""

REASON_CHARACTERS_MAX = 500

_READ_COUNT = 200


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did.

    Attributes:
        group: To which group.
        what: The command.
        who: User and host.
        reason: Why, in their own words; "" where none was given.
        before: What there was.
        after: What there is instead.
        at: When, by the clock of that host.
    """

    group: str
    what: str
    who: str
    reason: str = ""
    before: str = ""
    after: str = ""
    at: str


def operation(group: str, what: str, reason: str) -> Operation:
    """Return what is being done now, by whoever runs this process."""
    return Operation(
        group=group,
        what=what,
        who=f"{_user()}@{socket.gethostname()}",
        reason=reason[:REASON_CHARACTERS_MAX],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def as_arguments(one: Operation) -> list[str | int]:
    """Return it as the scripts take it that do something and note it in one step.

    It is how many are kept, then fields and values without before and after.
    """
    told = {name: getattr(one, name) for name in ("group", "what", "who", "reason", "at")}
    return [OPERATIONS_MAX, *(part for field in told.items() for part in field)]


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
        told = dict(zip(strings[::2], strings[1::2], strict=True))
        if told.get("group") == group:
            found.append(msgspec.convert(told, Operation))
    return found[count - 1 :: -1] if len(found) >= count else found[::-1]
