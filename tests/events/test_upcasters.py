from pathlib import Path
from typing import Any

import msgspec
import pytest

import events
from events.catalogue.registry import BY_WIRE_NAME, EVENT_TYPES
from events.catalogue.upcasters import endpoint_health_check_updated_v1_v2
from events.entry.codec import decode
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry

RECORDED = Path(__file__).with_name("recorded")
EXAMPLES = sorted(path.stem for path in RECORDED.glob("*.json"))


class Example(msgspec.Struct, forbid_unknown_fields=True):
    """An entry as it was shipped, and what it means today."""

    name: str
    v: str
    payload: dict[str, Any]
    means: dict[str, Any]


def example(stem: str) -> Example:
    return msgspec.json.decode(RECORDED.joinpath(f"{stem}.json").read_bytes(), type=Example)


def entry_of(shipped: Example) -> Entry:
    payload = msgspec.json.encode(shipped.payload)
    fields = {b"name": shipped.name.encode(), b"v": shipped.v.encode(), b"payload": payload}
    return Entry(EntryId(1, 0), 0, fields)


def test_no_two_event_types_have_one_name() -> None:
    assert len(BY_WIRE_NAME) == len(EVENT_TYPES)


def test_every_event_type_is_imported_from_the_package() -> None:
    assert [kind for kind in EVENT_TYPES if getattr(events, kind.__name__, None) is not kind] == []
    assert {kind.__name__ for kind in EVENT_TYPES} <= set(events.__all__)


def test_there_is_a_recorded_example_of_every_version_ever_shipped() -> None:
    shipped = {f"{k.wire_name}.v{v}" for k in EVENT_TYPES for v in range(1, k.version + 1)}
    assert shipped == set(EXAMPLES)


@pytest.mark.parametrize("stem", EXAMPLES)
def test_what_was_ever_shipped_still_reads_as_it_was_meant(stem: str) -> None:
    shipped = example(stem)
    assert stem == f"{shipped.name}.v{shipped.v}"
    event = decode(entry_of(shipped)).event
    assert type(event) is BY_WIRE_NAME[shipped.name]
    assert msgspec.json.decode(msgspec.json.encode(event)) == shipped.means


def test_there_is_an_upcaster_from_every_old_version_and_from_no_other() -> None:
    for kind in EVENT_TYPES:
        assert list(kind.upcasters) == list(range(1, kind.version))


@pytest.mark.parametrize("health_check", [None, {"path": "/health"}])
def test_version_1_of_a_health_check_knew_no_grace(health_check: dict[str, str] | None) -> None:
    payload = {"endpoint_id": "x", "health_check": health_check, "unknown": 1}
    given = msgspec.json.encode(payload)
    after = endpoint_health_check_updated_v1_v2(payload)
    graced = None if health_check is None else {"path": "/health", "initial_delay": None}
    assert after == {"endpoint_id": "x", "health_check": graced, "unknown": 1}
    assert msgspec.json.encode(payload) == given
