"""What a process knows of a history tells it from another one of the same log."""

from uuid import UUID, uuid4

import pytest

from events.entry.entry_id import EntryId
from events.log.log import EventLog
from projections.errors import HistoryMissingError
from projections.read_model.known_history import KnownHistory

GROUP = "route-table"
ANOTHER = r"entry 2-0, .* is another event now"


def known_by(log: EventLog) -> KnownHistory:
    return KnownHistory(log.server.client.call, log.keys, 0, GROUP)


async def write(log: EventLog, *entries: tuple[int, UUID]) -> None:
    for ms, event_id in entries:
        await log.server.client.call(
            "XADD", log.keys.events(0), f"{ms}-0", "name", "some_event", "id", str(event_id)
        )


async def begin_again(log: EventLog, *entries: tuple[int, UUID]) -> None:
    """Let the log have other entries, as a replica that lagged and went on has."""
    await log.server.client.call("DEL", log.keys.events(0))
    await write(log, *entries)


async def test_a_history_with_the_same_ids_but_other_events_is_another_one(log: EventLog) -> None:
    first, second, third = uuid4(), uuid4(), uuid4()
    await write(log, (1, first), (2, second))
    read_it, read_it_and_more = known_by(log), known_by(log)
    read_it.note(EntryId(2, 0))
    await read_it.check()
    read_it_and_more.note(EntryId(2, 0), str(second).encode())
    read_it_and_more.note(EntryId(3, 0))

    await begin_again(log, (1, first), (2, third), (3, uuid4()))
    for known in (read_it, read_it_and_more):
        with pytest.raises(HistoryMissingError, match=ANOTHER):
            await known.check()

    await read_it.note_missing("it is another one")
    with pytest.raises(HistoryMissingError, match=ANOTHER):
        await known_by(log).check()

    await begin_again(log, (1, first), (2, second), (3, uuid4()))
    for known in (read_it, read_it_and_more, known_by(log)):
        await known.check()


async def test_what_was_trimmed_since_is_no_other_history(log: EventLog) -> None:
    known = known_by(log)
    event_id = uuid4()
    await write(log, (1, event_id), (2, uuid4()), (3, uuid4()))
    known.note(EntryId(1, 0), str(event_id).encode())
    await log.server.client.call("XTRIM", log.keys.events(0), "MINID", "3-0")
    await known.check()
