"""Finds the groups that read streams of other systems, and their state."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from consumers.group_definition import GroupPlace
from consumers.groups.state import GroupState, read_group_states
from consumers.settings import Settings
from consumers.shipped import GROUPS, set_up_groups
from events.errors import ServerRefusedError, ServerUnavailableError
from events.log.log import EventLog
from events.structured_logger import structured_logger

_log = structured_logger(__name__)


async def read_foreign_states(log: EventLog, settings: Settings) -> list[GroupState]:
    """Return each group that is set up to read another stream than *log*, by its name here.

    One whose stream cannot be read counts as missing, which is logged.
    """
    names = [name for name in set_up_groups(settings) if GROUPS[name].foreign_place]
    return [await _state(log, settings, name) for name in sorted(names)]


@asynccontextmanager
async def opened_place(log: EventLog, settings: Settings, group: str) -> AsyncIterator[GroupPlace]:
    """Yield where *group* reads: *log*, unless it is set up to read another stream."""
    if group in set_up_groups(settings):
        async with GROUPS[group].place(log, settings) as place:
            yield place
    else:
        yield GroupPlace(log, group)


async def _state(log: EventLog, settings: Settings, name: str) -> GroupState:
    try:
        async with GROUPS[name].place(log, settings) as place:
            async for state in read_group_states(place.log, place.group):
                return msgspec.structs.replace(state, group=name)
    except (ServerUnavailableError, ServerRefusedError) as error:
        _log.warning("foreign_stream_unreadable", group=name, error=str(error))
    return GroupState(group=name, partition=0, activity="missing")
