"""Whatever somebody wrote into the stream: each command shows what is there, and none fails."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.cli.dead.dead import dead
from consumers.cli.dead.requeue import drop_dead, requeue_dead
from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.endpoints.trace import trace_events
from consumers.cli.endpoints.why import why
from consumers.cli.events.entry_filter import EntryFilter, endpoint_of
from consumers.cli.events.tail import events
from consumers.cli.events.text_search import TextSearch
from consumers.cli.groups.show import show_group
from consumers.cli.streams.streams import streams
from consumers.cli.terminal.entry_json import field_lines, fields_as_text
from consumers.cli.terminal.entry_reading import EntryReading
from consumers.cli.terminal.output_form import as_json
from consumers.runtime.projector import Projector
from events.entry.codec import encode
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry, entry_of
from events.log.log import EventLog
from producers.backend_ai.wire import STREAM
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.support.running_consumer import (
    QUICK,
    add_raw,
    consumer_of,
    consuming,
    created,
    until_dead,
    until_settled,
)

CHAT = UUID("c4a70000-0000-4000-8000-000000000000")
FIELDS = encode(created(CHAT), CHAT, "test")
PAYLOAD = FIELDS[b"payload"]
PLAIN = [part for field in FIELDS.items() for part in field]


def deep(levels: int) -> list[bytes]:
    nested = b'"x":' + b"[" * levels + b"]" * levels
    return [*PLAIN[:-1], PAYLOAD[:-1] + b"," + nested + b"}"]


STRANGE: dict[str, list[bytes]] = {
    "deep": deep(100_000),
    "deeper than is shown": deep(200),
    "payload twice": [*PLAIN, b"payload", PAYLOAD.replace(b'endpoint",', b'ENDPOINT",')],
    "name twice": [b"name", b"route_failed", *PLAIN],
    "no text": [b"name", b"\xff\xfe", b"source", b"\xff", b"\xff", b"\x00\x1b[31m"],
    "no text in JSON": [*PLAIN[:-1], PAYLOAD.replace(b"an endpoint", b"\xff")],
    "an id without dashes": [*PLAIN[:-1], PAYLOAD.replace(str(CHAT).encode(), CHAT.hex.encode())],
    "long version": [*PLAIN[:2], b"v", b"9" * 5_000, *PLAIN[4:]],
    "nothing": [b"", b""],
}
COMMANDS: list[tuple[Any, Sequence[str]]] = [
    (events, ("stats", "--by", "endpoint")),
    (events, ("stats", "--by", "type")),
    (events, ("tail", "--endpoint", "c4a7")),
    (events, ("range", "start..", "--where", "payload.name == 'x' or fields")),
    (events, ("range", "start..", "-o", "csv")),
    (events, ("grep", "endpoint", "--endpoint", str(CHAT))),
    (trace_events, (str(CHAT),)),
    (why, (str(CHAT),)),
    (dead, ("ls", "--endpoint", "c4a7")),
    (requeue_dead, ("route-table", "--endpoint", "c4a7", "--dry-run")),
    (drop_dead, ("route-table", "--endpoint", "c4a7", "--dry-run")),
    (show_group, ("route-table",)),
    (endpoints, ("show", str(CHAT))),
]


async def test_no_command_fails_over_strange_entries_and_each_is_shown(
    log: EventLog, run: Commands
) -> None:
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    async with consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)):
        await until_settled(log, ROUTE_TABLE.name)
        ids = [await add_raw(log, *fields) for fields in STRANGE.values()]
        await until_settled(log, ROUTE_TABLE.name)
        letters = await until_dead(log, 4, ROUTE_TABLE.name)
    for command, arguments in COMMANDS:
        result = await run(command, *arguments)
        assert end_of(result) in {0, 1, 3}, (arguments, result.output)
        assert not isinstance(result.exception, RecursionError | UnicodeError | ValueError)
    for letter in letters:
        assert end_of(await run(dead, "show", str(letter.dead_id))) == 0
    for entry_id in ids:
        for form in ((), ("-o", "json"), ("--raw",), ("--hex",), ("--raw", "-o", "json")):
            assert end_of(await run(events, "show", str(entry_id), *form)) == 0
    tail = await run(events, "tail", "-o", "jsonl")
    shown = [json.loads(line) for line in tail.stdout.splitlines()]
    assert [EntryId.parse(each["entry_id"]) for each in shown] == ids
    named = dict(zip(STRANGE, shown, strict=True))
    twice = [PAYLOAD.decode(), PAYLOAD.replace(b'endpoint",', b'ENDPOINT",').decode()]
    assert named["payload twice"]["fields"]["payload"] == twice
    assert "nested deeper than 64 levels" in named["deeper than is shown"]["problem"]
    table = await run(events, "tail", "--endpoint", "c4a7")
    assert "(given more than once, the last counts: payload)" in table.stdout
    assert str(ids[list(STRANGE).index("an id without dashes")]) in table.stdout


@given(st.lists(st.binary(max_size=30), max_size=12).map(lambda s: s[: len(s) // 2 * 2]))
def test_any_entry_has_a_line_and_a_value(strings: list[bytes]) -> None:
    for fields in (strings, [*PLAIN, *strings], [*strings, b"payload", b"[" * 100_000]):
        entry = entry_of(EntryId(1, 1), 0, fields)
        _is_shown(entry)
        assert list(entry.pairs) == list(zip(fields[::2], fields[1::2], strict=True))


def _is_shown(entry: Entry) -> None:
    for reading in (EntryReading(), EntryReading(is_foreign=True)):
        assert reading.line(entry).as_text()
        assert msgspec.json.decode(as_json(reading.value(entry)))
        wanted = EntryFilter.parse(endpoint="c4a7", where="payload.a.b == 1", reading=reading)
        assert wanted.wants(entry) in {True, False}
    endpoint_of(entry)
    assert field_lines(fields_as_text(entry.pairs)) or not entry.pairs
    search = TextSearch.parse("z", is_regex=False, ignores_case=True)
    assert search.finds(entry) in {True, False}


async def test_arguments_that_are_no_text_are_refused_and_keys_are_found_as_they_are_shown(
    log: EventLog, run: Commands
) -> None:
    key = f"{log.keys.namespace}-".encode() + b"\xff\xfekey"
    await log.server.client.call("XADD", key, "*", b"\xff", b"\xfe")
    listed = await run(streams, "ls", "--match", f"{log.keys.namespace}-*", "-o", "json")
    [stream] = json.loads(listed.stdout)
    name = stream["stream"]
    assert name == f"{log.keys.namespace}-\\xff\\xfekey"
    for command in (
        (streams, "show", name),
        (events, "tail", "--stream", name),
    ):
        for form in ("table", "json"):
            result = await run(*command, "-o", form)
            assert end_of(result) == 0
            assert "key" in result.stdout or command[0] is events
    refused = await run(streams, "show", "a\udcff\udcfeb")
    assert refused.exit_code == 2
    assert r"argument 'a\xff\xfeb' is no UTF-8" in refused.output
    assert end_of(await run(streams, "show", r"gone\xff")) == 3


@pytest.mark.parametrize("levels", [63, 200, 5_000])
async def test_a_deep_message_of_backend_ai_is_shown(
    log: EventLog, run: Commands, levels: int
) -> None:
    packed = b"\x91" * levels + b"\x01"
    key = f"{log.keys.namespace}-{STREAM.decode()}"
    await log.server.client.call("XADD", key, "*", b"name", b"x", b"args", packed)
    for form in ("table", "json"):
        assert end_of(await run(events, "tail", "--stream", key, "-o", form)) == 0
