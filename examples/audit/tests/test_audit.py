"""The audit's own tests: the fold by itself, and all of it on the server that REDIS_URL names."""

import json
import os
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import pytest
from routestream_audit import NOTES, NoteAddedEvent
from routestream_audit.notes import evolve
from routestream_audit.trail import write_line

from consumers import open_group
from events import START, EntryId, EventLog, Metadata, RecordedEvent, fold, open_log

CHAT = UUID("c4a70000-0000-4000-8000-000000000000")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def log() -> AsyncIterator[EventLog]:
    namespace = f"audit-{uuid4().hex}"
    async with open_log(os.environ["REDIS_URL"], namespace=namespace, source="test") as opened:
        yield opened


def note(text: str) -> NoteAddedEvent:
    return NoteAddedEvent(endpoint_id=CHAT, author="ada", text=text)


def recorded(at: int) -> RecordedEvent:
    return RecordedEvent(EntryId(at, 0), 0, note(f"note {at}"), str(uuid4()), "test", Metadata())


def test_any_order_and_number_of_deliveries_lead_to_one_document() -> None:
    events = [recorded(at) for at in (1, 2, 3)]
    initial = NOTES.initial(CHAT)
    documents = {
        NOTES.encode(fold(evolve, initial, [*order, *order]), 1) for order in permutations(events)
    }
    assert len(documents) == 1


def test_a_document_keeps_its_state() -> None:
    state = evolve(NOTES.initial(CHAT), recorded(1))
    assert NOTES.decode(NOTES.encode(state, 7)) == (7, state)


async def test_a_note_is_read_from_the_log_as_it_was_appended(log: EventLog) -> None:
    await log.append(note("disk replaced"))
    assert [event.event async for event in log.read()] == [note("disk replaced")]


async def test_every_event_becomes_a_line_of_the_trail(
    log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = tmp_path / "trail.jsonl"
    monkeypatch.setenv("AUDIT_FILE", str(trail))
    written = anyio.Event()

    async def write_and_tell(recorded: RecordedEvent) -> None:
        await write_line(recorded)
        written.set()

    await log.append(note("disk replaced"))
    with anyio.fail_after(60):
        async with open_group(log, "audit", write_and_tell, start=START):
            await written.wait()
    [line] = map(json.loads, trail.read_text().splitlines())
    assert line["name"] == "audit_note_added"
    assert line["event"] == {"endpoint_id": str(CHAT), "author": "ada", "text": "disk replaced"}
