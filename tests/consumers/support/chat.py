"""The endpoint `chat`, and entries about it that differ only in their ids."""

from uuid import UUID

from events import EndpointRouteListUpdatedEvent
from events.log.log import EventLog

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")


async def append(log: EventLog, count: int) -> list[str]:
    """Append the same event *count* times in one step; return the entry ids."""
    event = EndpointRouteListUpdatedEvent(endpoint_id=CHAT, routes=())
    appended = await log.append(*[event] * count)
    return [str(entry_id) for entry_id in appended.entry_ids]
