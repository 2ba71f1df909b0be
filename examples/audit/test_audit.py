"""The audit's tests, on a log in memory: they need no server."""

import json
from itertools import permutations
from pathlib import Path
from uuid import UUID

import pytest
from routestream_audit import NOTES, NoteAddedEvent
from routestream_audit.notes import KEPT_MAX, evolve
from routestream_audit.trail import write_line

from events import RecordedEvent, fold
from events.testing import MemoryLog

CHAT = UUID("c4a70000-0000-4000-8000-000000000000")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def recorded(*texts: str) -> list[RecordedEvent]:
    """Return notes as they are read from a log."""
    log = MemoryLog()
    for text in texts:
        await log.append(NoteAddedEvent(endpoint_id=CHAT, author="ada", text=text))
    return [event async for event in log.read()]


async def test_a_note_is_read_from_the_log_as_it_was_appended() -> None:
    [event] = await recorded("disk replaced")
    assert event.event == NoteAddedEvent(endpoint_id=CHAT, author="ada", text="disk replaced")


async def test_any_order_and_number_of_deliveries_lead_to_one_document() -> None:
    events = await recorded("one", "two", "three")
    initial = NOTES.initial(CHAT)
    documents = {
        NOTES.encode(fold(evolve, initial, [*order, *order]), 1) for order in permutations(events)
    }
    assert len(documents) == 1


async def test_a_document_has_the_newest_notes_and_keeps_the_state() -> None:
    events = await recorded(*map(str, range(KEPT_MAX + 5)))
    state = fold(evolve, NOTES.initial(CHAT), events)
    assert [note.text for note in state.notes] == [str(n) for n in range(5, KEPT_MAX + 5)]
    assert NOTES.decode(NOTES.encode(state, 7)) == (7, state)


async def test_an_event_becomes_a_line_of_the_trail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = tmp_path / "trail.jsonl"
    monkeypatch.setenv("AUDIT_FILE", str(trail))
    for event in await recorded("disk replaced", "back again"):
        await write_line(event)
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [line["name"] for line in lines] == ["audit_note_added"] * 2
    assert [line["event"]["text"] for line in lines] == ["disk replaced", "back again"]
