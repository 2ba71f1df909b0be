"""Streams that are not ours: shown raw, and Backend.AI's own decoded in both its formats."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from consumers.cli.backend_ai_entry import printed_entry
from consumers.cli.deployment import FOREIGN_DECODERS
from consumers.cli.events.tail import events
from events import EndpointCreatedEvent, EventLog
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import UndecodableEntryError
from events.streams.foreign_stream import NoStreamError
from tests.consumers.support.commands import Commands

ENDPOINT = "00000000-0000-4000-8000-0000000000e1"
SESSION = "00000000-0000-4000-8000-0000000000a1"
METADATA = b'{"request_id":null,"user":null}'


@pytest.fixture
def stream(namespace: str) -> str:
    return f"foreign-{namespace}"


@pytest.fixture
def run(redis_url: str, namespace: str, stream: str) -> Commands:
    commands = Commands(redis_url, namespace)
    commands.deployment = msgspec.structs.replace(
        commands.deployment, foreign={f"{stream}-backend-ai": FOREIGN_DECODERS["events"]}
    )
    return commands


async def add(log: EventLog, stream: str, *fields: str | bytes) -> str:
    entry_id: bytes = await log.server.client.execute_command("XADD", stream, "*", *fields)
    return entry_id.decode()


async def test_an_entry_that_is_not_there_is_missed_in_the_stream_that_was_named(
    log: EventLog, run: Commands, stream: str
) -> None:
    await add(log, stream, "level", "warn")
    result = await run(events, "show", "1-1", "--stream", stream)
    assert (result.exit_code, result.stderr) == (
        3,
        f"Error: entry 1-1 is not in the stream {stream!r}\n",
    )


async def test_any_stream_is_shown_raw_with_its_bytes_escaped(
    log: EventLog, run: Commands, stream: str
) -> None:
    await add(log, stream, "level", "warn", b"\xfe\n", b"\xff\x1b[2J")
    await add(log, stream, "name", "x", "source", "y", "big", "z" * 1_000)
    first, second = await run.lines(events, "tail", "--stream", stream)
    assert first == r"TIME  ID  level=warn \xfe\n=\xff\x1b[2J"
    assert second.startswith("TIME  ID  x  y  big=zzz")
    assert second.endswith("zzz...")
    [one, _] = json.loads((await run(events, "tail", "--stream", stream, "-o", "json")).stdout)
    assert one["fields"] == {"level": "warn", "base64:/go=": {"base64": "/xtbMko="}}
    assert "problem" not in one


async def test_where_looks_into_the_fields_of_any_stream(
    log: EventLog, run: Commands, stream: str
) -> None:
    await add(log, stream, "level", "warn")
    await add(log, stream, "level", "info", "name", "anything")
    where = ("tail", "--stream", stream, "--where")
    assert (await run.lines(events, *where, 'fields.level == "warn"')) == ["TIME  ID  level=warn"]
    by_name = ("tail", "--stream", stream, "--type", "any*")
    assert len(await run.lines(events, *by_name)) == 1


async def test_an_event_of_ours_on_another_stream_is_read_as_one(
    log: EventLog, run: Commands, stream: str
) -> None:
    event = EndpointCreatedEvent(endpoint_id=UUID(ENDPOINT), name="chat", model="m")
    await log.append(event)
    await log.server.client.call("COPY", log.keys.events(0), stream)
    lines = await run.lines(events, "tail", "--stream", stream)
    assert lines == ["TIME  ID  00000000  endpoint_created  test  chat: model m, no health check"]
    [told] = json.loads((await run(events, "tail", "--stream", stream, "-o", "json")).stdout)
    assert (told["name"], told["partition"]) == ("endpoint_created", None)


async def test_what_is_no_stream_is_told_as_that(log: EventLog, run: Commands, stream: str) -> None:
    result = await run(events, "tail", "--stream", stream)
    assert isinstance(result.exception, NoStreamError)
    await log.server.client.call("SET", stream, "x")
    result = await run(events, "tail", "--stream", stream)
    assert "is a string" in str(result.exception)


async def test_an_entry_of_any_stream_is_shown_with_its_groups(
    log: EventLog, run: Commands, stream: str
) -> None:
    entry_id = await add(log, stream, "level", "warn", b"\xfe", b"\xff")
    await log.server.client.call("XGROUP", "CREATE", stream, b"g\xff", "0")
    lines = await run.lines(events, "show", entry_id, "--stream", stream)
    assert lines[2:] == [
        f"stream  {stream}",
        "field level  warn",
        "field base64:/g==  base64 /w==",
        "",
        "GROUP  STATE  CONSUMER  IDLE  DELIVERIES  LAST ERROR",
        r"g\xff  not delivered",
    ]


def packed(*values: Any) -> bytes:  # noqa: ANN401 - what msgpack can hold
    return msgspec.msgpack.encode(values)


async def test_backend_ais_stream_is_decoded_in_both_its_formats(
    log: EventLog, run: Commands, stream: str
) -> None:
    key = f"{stream}-backend-ai"
    old = ("name", "endpoint_route_list_updated", "source", "manager")
    await add(log, key, *old, "args", packed(ENDPOINT), "metadata", METADATA)
    new = ("name", "model_service_status_updated", "source", "a", "_retry_count", "2")
    payload = json.dumps({"session_id": SESSION, "new_status": "healthy"})
    await add(log, key, *new, "payload", payload)
    other = packed("s", 7, Ext(3, b"cos\nsystem\n(S'true'\ntR."), {"a": b"\xff"}, None)
    await add(log, key, "name", "session_started", "source", "b", "args", other)
    await add(log, key, "name", "session_started", "source", "b", "args", b"\xc1")
    await add(log, key, "stray", "field")
    malformed = "MessagePack data is malformed: invalid opcode"
    assert await run.lines(events, "tail", "--stream", key) == [
        f"TIME  ID  00000000  {old[1]}  manager  its hand-off keys hold the routes",
        "TIME  ID  model_service_status_updated  a  session 00000000 healthy (copy 2)",
        'TIME  ID  session_started  b  s, 7, {"extension":3,"bytes":23}, {"a":{"bytes":1}}, null',
        rf"TIME  ID  session_started  b  session_started: args: {malformed} '\xc1' (byte 0)",
        "TIME  ID  name: the entry has none",
    ]
    first, second, third, broken, stray = json.loads(
        (await run(events, "tail", "--stream", key, "-o", "json")).stdout
    )
    assert (first["payload"], first["metadata"]["user"]) == ([ENDPOINT], None)
    assert (second["payload"]["new_status"], second["retry_count"]) == ("healthy", 2)
    assert third["payload"][2] == {"extension": 3, "bytes": 23}
    assert "problem" in broken
    assert stray["fields"] == {"stray": "field"}
    for chosen in (
        ("--where", '"00e1" in payload[0]'),
        ("--where", f'endpoint == "{ENDPOINT}"'),
        ("--endpoint", "0000"),
        ("--type", "endpoint_*", "--source", "manager"),
    ):
        assert len(await run.lines(events, "tail", "--stream", key, *chosen)) == 1


msgpack_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(Ext, st.integers(-128, 127), st.binary(max_size=20)),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text() | st.integers(0, 9), v),
    max_leaves=10,
)


@given(msgpack_values.map(msgspec.msgpack.encode) | st.binary(max_size=60))
def test_any_content_is_printed_or_told_to_be_unreadable(args: bytes) -> None:
    fields = {b"name": b"anything", b"args": args}
    try:
        told = printed_entry(Entry(EntryId(1, 0), 0, fields))
    except UndecodableEntryError:
        return
    msgspec.json.encode(dict(told.values))
