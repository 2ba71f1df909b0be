"""The forms that every reading command prints in, and how it behaves at a terminal and a pipe."""

import csv
import json
import signal
import time
from io import StringIO
from typing import ClassVar
from uuid import UUID

import anyio
import pytest

from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.events.tail import events
from consumers.cli.streams.streams import streams
from consumers.cli.terminal.entry_line import Line
from consumers.cli.terminal.event_summary import summary
from consumers.cli.terminal.table import times_of
from events import EndpointCreatedEvent, EndpointRouteListUpdatedEvent, EventLog
from events.catalogue.event import Event
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands
from tests.consumers.support.terminal import ROUTESTREAM, environment_of, in_shell, in_terminal

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
EMBED = UUID("e0bed000-0000-4000-8000-000000000002")


@pytest.fixture
def environment(redis_url: str, namespace: str) -> dict[str, str]:
    return environment_of(redis_url, namespace)


async def fill(log: EventLog) -> None:
    await log.append(
        EndpointCreatedEvent(endpoint_id=CHAT, name='chat, "the" first', model="llama-3"),
        EndpointRouteListUpdatedEvent(endpoint_id=EMBED, routes=()),
    )
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))


async def test_csv_has_the_values_of_json_under_a_header(log: EventLog, run: Commands) -> None:
    await fill(log)
    listed = json.loads((await run(endpoints, "ls", "-o", "json")).stdout)
    rows = list(csv.DictReader(StringIO((await run(endpoints, "ls", "-o", "csv")).stdout)))
    assert [row["name"] for row in rows] == ['chat, "the" first', ""]
    assert list(rows[0]) == list(listed[0])
    assert (rows[0]["open_to_public"], rows[0]["destroyed_at"]) == ("false", "")
    assert json.loads(rows[1]["routes"]) == []
    [shown] = csv.DictReader(StringIO((await run(endpoints, "show", "7ccd", "-o", "csv")).stdout))
    assert shown == rows[0]


async def test_wide_has_whole_ids_with_their_times(
    log: EventLog, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(log)
    tail = (await run(events, "tail", "-o", "wide")).stdout
    assert str(CHAT) in tail
    assert str(CHAT) not in (await run(events, "tail")).stdout
    monkeypatch.setenv("COLUMNS", "40")
    lines = (await run(streams, "ls", "-o", "wide")).stdout.splitlines()
    assert len(lines) == 2
    assert f"{await log.head(0)} ({times_of(await log.head(0))})" in lines[1]


def test_a_wide_line_has_whole_ids_and_any_other_their_beginnings() -> None:
    route = UUID("1b2c3d4e-0000-4000-8000-000000000003")
    entry = Entry(
        EntryId(1_769_896_800_123, 0),
        0,
        {
            b"name": b"route_terminating",
            b"v": b"1",
            b"id": b"01a21088-2012-70e1-8000-000000000000",
            b"source": b"test",
            b"payload": b'{"endpoint_id":"%s","route_id":"%s"}'
            % (str(CHAT).encode(), str(route).encode()),
        },
    )
    short, wide = Line.of(entry), Line.of(entry, wide=True)
    assert (short.endpoint, short.summary) == ("7ccd26ec", "1b2c3d4e")
    assert (wide.endpoint, wide.summary) == (str(CHAT), str(route))
    assert wide.as_text().startswith("2026-01-31 22:00:00.123 UTC")


class NoteAddedEvent(Event, frozen=True, kw_only=True):
    wire_name: ClassVar[str] = "note_added"

    route_id: UUID
    left_by: str
    tries: tuple[int, ...] = ()
    why: str | None = None


def test_a_type_without_words_of_its_own_is_shown_by_its_fields() -> None:
    note = NoteAddedEvent(endpoint_id=CHAT, route_id=CHAT, left_by="the night shift", tries=(1, 2))
    assert summary(note) == "7ccd26ec, left by the night shift, tries [1,2]"
    assert summary(note, wide=True).startswith(f"{CHAT}, ")


def test_an_id_has_its_time_in_utc_and_here(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_id = EntryId(1_769_896_800_123, 0)
    try:
        for zone, shown in (
            ("UTC", "2026-01-31 22:00:00.123 UTC"),
            ("Asia/Seoul", "2026-01-31 22:00:00.123 UTC, 2026-02-01 07:00:00.123 +0900"),
            ("Europe/London", "2026-01-31 22:00:00.123 UTC"),
            ("America/New_York", "2026-01-31 22:00:00.123 UTC, 17:00:00.123 -0500"),
        ):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert times_of(entry_id) == shown
        assert times_of(EntryId(2**64 - 1, 0)).startswith("9999-12-31 23:59:59.999 UTC")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("interval", ["--watch", "--watch=2s", "--watch=200ms", "--watch=0.1"])
async def test_watching_draws_in_place_on_a_terminal(
    log: EventLog, environment: dict[str, str], interval: str
) -> None:
    await fill(log)
    drawn = await in_terminal(["streams", "ls", interval], environment, 80, until="\x1b[J")
    assert "\x1b[H" in drawn
    assert "STREAM" in drawn


async def test_watching_goes_on_below_in_a_pipe(log: EventLog, environment: dict[str, str]) -> None:
    await fill(log)
    line = "routestream streams ls --watch 100ms -o csv | head -3; echo ${PIPESTATUS[0]}"
    done = await in_shell(line, environment)
    *rows, status = done.stdout.splitlines()
    assert [row.startswith("stream,") for row in rows] == [True, False, False]
    assert (status, done.stderr) == ("141", "")


@pytest.mark.parametrize("interval", ["0", "2x", "99ms", "86401", "1e3", "nan"])
async def test_an_interval_that_is_none_is_refused(run: Commands, interval: str) -> None:
    result = await run(streams, "ls", f"--watch={interval}")
    assert result.exit_code == 2
    assert "--watch" in result.stderr


async def test_an_argument_taken_for_an_interval_is_told_how_to_be_written(run: Commands) -> None:
    result = await run(endpoints, "show", "--watch", "chat")
    assert "write --watch=2s" in result.stderr


@pytest.mark.parametrize("form", ["table", "jsonl", "csv", "json"])
async def test_a_closed_pipe_is_met_in_silence(
    log: EventLog, environment: dict[str, str], form: str
) -> None:
    stream = log.keys.events(0)
    for _ in range(10):
        await log.server.client.call("XADD", stream, "*", "name", "x", "payload", "y" * 100_000)
    line = (
        f"routestream events tail --from start -o {form} | head -c 9 >/dev/null;"
        " echo ${PIPESTATUS[0]}"
    )
    done = await in_shell(line, environment)
    assert done.stdout in {"0\n", "141\n"}
    assert done.stderr == ""


async def test_a_terminal_gets_colours_unless_they_are_refused(
    log: EventLog, environment: dict[str, str]
) -> None:
    await fill(log)
    for command in (["streams", "ls"], ["events", "tail"]):
        assert "\x1b[" in await in_terminal(command, environment, 80)
        plain = {**environment, "NO_COLOR": "1"}
        assert "\x1b[" not in await in_terminal(command, plain, 80)


async def test_an_interrupt_ends_the_watching_with_its_exit_code(
    log: EventLog, environment: dict[str, str]
) -> None:
    await fill(log)
    command = [ROUTESTREAM, "streams", "ls", "--watch", "-o", "csv"]
    async with await anyio.open_process(command, env=environment) as process:
        assert process.stdout is not None
        assert (await process.stdout.receive()).startswith(b"stream,")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
