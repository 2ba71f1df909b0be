import json
from base64 import b64decode
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from producers.backend_ai.wire import (
    CHANNEL,
    Other,
    RouteListUpdated,
    SessionChanged,
    StatusUpdated,
    WireFormat,
    anycast_fields,
    broadcast_text,
    decode,
    xadd_fields,
)

CAPTURE = Path(__file__).parents[2] / "data" / "backend-ai-25.15.0-traffic.jsonl"
ENDPOINT = UUID("00000000-0000-4000-8000-0000000000e1")
SESSION = UUID("00000000-0000-4000-8000-0000000000a1")


def captured() -> list[list[bytes]]:
    """Return the commands that release 25.15.0 has sent."""

    def raw(part: Any) -> bytes:  # noqa: ANN401 - JSON
        return b64decode(part["b64"]) if isinstance(part, dict) else str(part).encode()

    lines = map(json.loads, CAPTURE.read_text().splitlines())
    return [[raw(part) for part in line["args"]] for line in lines]


def test_entries_have_the_bytes_that_backend_ai_itself_has_sent() -> None:
    entries = [xadd_fields(args) for args in captured() if args[0] == b"XADD"]
    kinds = set()
    for fields in entries:
        event = decode(fields)
        if (
            isinstance(event, Other | SessionChanged)
            or b"metadata" not in fields
            or b"_retry_count" in fields
        ):
            continue
        kinds.add(type(event))
        encoded = anycast_fields(event, fields[b"source"].decode(), "msgpack")
        assert list(encoded.items()) == list(fields.items())
    assert kinds == {RouteListUpdated, StatusUpdated}


def test_broadcasts_have_the_bytes_that_backend_ai_itself_has_sent() -> None:
    texts = [args[2] for args in captured() if args[:2] == [b"PUBLISH", CHANNEL]]
    assert texts
    for text in texts:
        read = json.loads(text)
        event = decode({b"name": read["name"].encode(), b"args": b64decode(read["args"])})
        assert not isinstance(event, Other | SessionChanged)
        assert broadcast_text(event, read["source"], "msgpack") == text


def test_the_json_format_has_these_bytes() -> None:
    event = StatusUpdated(SESSION, "healthy")
    assert anycast_fields(event, "routestream", "json", "5-0") == {
        b"name": b"model_service_status_updated",
        b"source": b"routestream",
        b"payload": (
            b'{"session_id":"00000000-0000-4000-8000-0000000000a1","new_status":"healthy"}'
        ),
        b"metadata": b'{"request_id":"5-0","user":null,"triggered_user":null}',
    }
    assert broadcast_text(event, "routestream", "json") == (
        b'{"name":"model_service_status_updated","source":"routestream",'
        b'"payload":"{\\"session_id\\":\\"00000000-0000-4000-8000-0000000000a1\\",'
        b'\\"new_status\\":\\"healthy\\"}",'
        b'"metadata":"{\\"request_id\\":null,\\"user\\":null,\\"triggered_user\\":null}"}'
    )


@pytest.mark.parametrize("wire_format", ["msgpack", "json"])
@pytest.mark.parametrize(
    "event",
    [RouteListUpdated(ENDPOINT), StatusUpdated(SESSION, "unhealthy")],
)
def test_what_is_encoded_is_decoded_to_the_same(
    event: RouteListUpdated | StatusUpdated, wire_format: WireFormat
) -> None:
    assert decode(anycast_fields(event, "routestream", wire_format, "5-0")) == event
