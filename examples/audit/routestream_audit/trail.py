"""The handler group: appends every event to a file, one line of JSON for each."""

import os

import anyio
import msgspec

from consumers import HandlerSettings, handler_group
from events import START, RecordedEvent


async def write_line(recorded: RecordedEvent) -> None:
    """Append what happened to the file that `AUDIT_FILE` names.

    After a crash an event may come twice: its id tells the two lines for one. An error that is
    raised, as for a disk that is full, has the event tried again.
    """
    line = {
        "event_id": recorded.event_id,
        "entry_id": str(recorded.entry_id),
        "source": recorded.source,
        "name": recorded.event.wire_name,
        "event": recorded.event,
    }
    async with await anyio.open_file(os.environ["AUDIT_FILE"], "ab") as file:
        await file.write(msgspec.json.encode(line) + b"\n")


def missing_setting(_: object) -> str | None:
    """Say what the group lacks to run; None for nothing."""
    if os.environ.get("AUDIT_FILE"):
        return None
    return "the group audit needs a file to write to: set AUDIT_FILE"


AUDIT = handler_group(
    "audit",
    write_line,
    about="writes every event to the file AUDIT_FILE",
    start=START,
    settings=HandlerSettings(concurrency=1),
    missing_setting=missing_setting,
)
