from uuid import UUID

import msgspec
import pytest

from producers.backend_ai import wire
from producers.backend_ai.wire import MalformedEntryError, Other, RouteListUpdated, StatusUpdated

ENDPOINT = UUID("00000000-0000-4000-8000-0000000000e1")
SESSION = UUID("00000000-0000-4000-8000-0000000000a1")

LIST_ARGS = bytes.fromhex("91d924") + str(ENDPOINT).encode()
HEALTHY_ARGS = bytes.fromhex("92d924") + str(SESSION).encode() + b"\xa7healthy"
UNHEALTHY_ARGS = bytes.fromhex("92d924") + str(SESSION).encode() + b"\xa9unhealthy"

LIST = {b"name": b"endpoint_route_list_updated", b"source": b"manager"}
STATUS = {b"name": b"model_service_status_updated", b"source": b"appproxy-coordinator"}
METADATA = {b"metadata": b'{"request_id":null,"user":null}'}


@pytest.mark.parametrize("metadata", [{}, METADATA], ids=["without metadata", "with metadata"])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (LIST | {b"args": LIST_ARGS}, RouteListUpdated(ENDPOINT)),
        (STATUS | {b"args": HEALTHY_ARGS}, StatusUpdated(SESSION, "healthy")),
        (STATUS | {b"args": UNHEALTHY_ARGS}, StatusUpdated(SESSION, "unhealthy")),
        (
            LIST | {b"payload": b'{"endpoint_id":"%s"}' % str(ENDPOINT).encode()},
            RouteListUpdated(ENDPOINT),
        ),
        (
            STATUS
            | {b"payload": b'{"session_id":"%s","new_status":"healthy"}' % str(SESSION).encode()},
            StatusUpdated(SESSION, "healthy"),
        ),
    ],
)
def test_both_formats_say_the_same(
    fields: dict[bytes, bytes], said: wire.WireEvent, metadata: dict[bytes, bytes]
) -> None:
    assert wire.decode(fields | metadata) == said


def test_fields_that_a_later_release_adds_are_passed_over() -> None:
    payload = msgspec.json.encode({"endpoint_id": ENDPOINT, "since": [1, {"more": None}]})

    assert wire.decode(LIST | {b"payload": payload, b"trace": b"\xff"}) == RouteListUpdated(
        ENDPOINT
    )


def test_an_event_of_another_name_is_not_looked_into() -> None:
    fields = {b"name": b"session_started", b"source": b"manager", b"args": b"\x91\xd8\x01garbage"}

    assert wire.decode(fields) == Other("session_started")


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(b"\x91\xd8\x01" + ENDPOINT.bytes, id="a UUID"),
        pytest.param(b"\x91\xc7\x05\x06cos\n.", id="a pickled enum"),
        pytest.param(b"\xd4\x03.", id="a pickle in place of the array"),
    ],
)
def test_an_extension_type_is_refused_without_being_decoded(args: bytes) -> None:
    with pytest.raises(MalformedEntryError, match=r"endpoint_route_list_updated: args: .*ext"):
        wire.decode(LIST | {b"args": args})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "name: the entry has none"),
        ({b"name": b"\xff"}, "name: 'utf-8'"),
        (LIST, "neither args nor payload"),
        (LIST | {b"args": b""}, "args: Input data was truncated"),
        (LIST | {b"args": LIST_ARGS[:-1]}, "args: Input data was truncated"),
        (LIST | {b"args": LIST_ARGS + b"\x00"}, "args: .*trailing"),
        (LIST | {b"args": b"\xdd\xff\xff\xff\xff"}, "args: Expected `array` of length 1"),
        (LIST | {b"args": b"\x91\xa2\xff\xff"}, "args: 'utf-8'"),
        (LIST | {b"args": b"\x91\xa3abc"}, "args: Invalid UUID - at `\\$.endpoint_id`"),
        (LIST | {b"args": b"\x91" * 100_000}, "args: "),
        (LIST | {b"payload": b""}, "payload: Input data was truncated"),
        (LIST | {b"payload": b"[]"}, "payload: Expected `object`"),
        (LIST | {b"payload": b"{}"}, "payload: .*`endpoint_id`"),
        (LIST | {b"payload": b'{"x":' + b"[" * 100_000}, "payload: "),
        (STATUS | {b"args": LIST_ARGS}, "args: Expected `array` of length 2, got 1"),
        (STATUS | {b"args": b"\x94\xa0\xa0\xa0\xa0"}, "args: Expected `array` of length 2, got 4"),
        (STATUS | {b"args": HEALTHY_ARGS[:-8] + b"\xa4okay"}, "args: .*'okay'.*new_status"),
    ],
)
def test_garbage_is_refused_by_field(fields: dict[bytes, bytes], sentence: str) -> None:
    with pytest.raises(MalformedEntryError, match=sentence):
        wire.decode(fields)


def test_a_copy_says_how_often_it_was_put_on_the_stream_again() -> None:
    assert wire.retry_count(LIST) == 0
    assert wire.retry_count(LIST | {b"_retry_count": b"3"}) == 3
    with pytest.raises(MalformedEntryError, match="_retry_count: b'often' is no number"):
        wire.retry_count(LIST | {b"_retry_count": b"often"})


@pytest.mark.parametrize(
    "options",
    [
        b"*",
        b"MAXLEN ~ 128 *",
        b"maxlen 128 *",
        b"MINID = 7-0 17-3",
        b"NOMKSTREAM KEEPREF MAXLEN ~ 128 LIMIT 10 *",
    ],
)
def test_the_fields_of_an_xadd_stand_behind_its_options(options: bytes) -> None:
    command = [b"XADD", b"events", *options.split(), b"name", b"x", b"args", b"*"]

    assert wire.xadd_fields(command) == {b"name": b"x", b"args": b"*"}


@pytest.mark.parametrize("rest", [b"", b"*", b"* name", b"* name x args", b"MAXLEN ~"])
def test_an_xadd_whose_fields_are_no_pairs_is_refused(rest: bytes) -> None:
    with pytest.raises(MalformedEntryError, match="they come in pairs"):
        wire.xadd_fields([b"XADD", b"events", *rest.split()])
