from contextlib import suppress
from datetime import datetime
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck as Slow
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue.endpoint import EndpointCreatedEvent, EndpointHealthCheckUpdatedEvent
from events.catalogue.event import Event
from events.catalogue.health_check import HealthCheck, health_check_from
from events.catalogue.model_service import ModelServiceStatusEvent
from events.catalogue.registry import EVENT_TYPES
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteFailedEvent,
    RouteRecord,
    RouteStartedEvent,
    RouteTrafficRatioUpdatedEvent,
)
from events.entry import codec
from events.entry.codec import ENTRY_BYTES_MAX, decode, encode
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry, Metadata
from events.errors import InvalidEventError, UndecodableEntryError, UnknownEventTypeError
from tests.events.support.strategies import EVENTS, entry_ids, metadata
from tests.support.laws import examples

E, R = UUID(int=0xE), UUID(int=0xA)
AT = EntryId(5, 7)
some_event = st.sampled_from(EVENT_TYPES).flatmap(lambda kind: EVENTS[kind])


TOMBSTONE = f'{{"endpoint_id":"{E}"}}'


def destroyed(given_payload: str = TOMBSTONE, **fields: bytes) -> Entry:
    known = {"name": b"endpoint_destroyed", "v": b"1", "payload": given_payload.encode()}
    return Entry(AT, 0, {name.encode(): value for name, value in {**known, **fields}.items()})


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.wire_name)
@given(data=st.data())
@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[Slow.too_slow, Slow.data_too_large, Slow.filter_too_much],
)
def test_an_event_of_every_type_reads_back_as_it_was(
    kind: type[Event], data: st.DataObject
) -> None:
    event, event_id = data.draw(EVENTS[kind]), data.draw(st.uuids())
    given_metadata = data.draw(st.none() | metadata)
    entry_id = data.draw(entry_ids)
    fields = encode(event, event_id, "some source", given_metadata)
    recorded = decode(Entry(entry_id, 3, fields))
    assert recorded.event == event
    assert type(recorded.event) is kind
    assert (recorded.entry_id, recorded.partition) == (entry_id, 3)
    assert (recorded.event_id, recorded.source) == (str(event_id), "some source")
    assert recorded.metadata == (given_metadata or Metadata())
    assert recorded.endpoint_id == event.endpoint_id


def test_the_fields_of_an_entry_are_those_of_the_design() -> None:
    event = RouteTrafficRatioUpdatedEvent(endpoint_id=E, route_id=R, traffic_ratio=0.25)
    fields = encode(event, UUID(int=1), "manager", Metadata(request_id="r-1"))
    assert fields == {
        b"name": b"route_traffic_ratio_updated",
        b"v": b"1",
        b"id": b"00000000-0000-0000-0000-000000000001",
        b"source": b"manager",
        b"payload": f'{{"endpoint_id":"{E}","route_id":"{R}","traffic_ratio":0.25}}'.encode(),
        b"metadata": b'{"request_id":"r-1"}',
    }


RECORD = RouteRecord(route_id=R)
CREATED = EndpointCreatedEvent(endpoint_id=E, name="n", model="m")
CHECK = HealthCheck(path="/health")
STARTED = RouteStartedEvent(endpoint_id=E, route_id=R, kernel_host="10.0.0.1", kernel_port=80)
FAILED = RouteFailedEvent(endpoint_id=E, route_id=R)
STATUS = ModelServiceStatusEvent(endpoint_id=E, route_id=R, new_status="healthy")
RATIO = RouteTrafficRatioUpdatedEvent(endpoint_id=E, route_id=R, traffic_ratio=1.0)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - the point


def checked(health_check: HealthCheck) -> EndpointHealthCheckUpdatedEvent:
    return EndpointHealthCheckUpdatedEvent(endpoint_id=E, health_check=health_check)


def created(record: RouteRecord) -> RouteCreatedEvent:
    return RouteCreatedEvent(endpoint_id=E, route=record)


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        (replace(CREATED, name=""), "name", "''"),
        (replace(CREATED, model="m" * 257), "model", "'mmm"),
        (checked(replace(CHECK, path="health")), "health_check.path", "'health'"),
        (checked(replace(CHECK, path="/a b")), "health_check.path", "'/a b'"),
        (checked(replace(CHECK, path="/health\n")), "health_check.path", r"'/health\n'"),
        (checked(replace(CHECK, interval=0)), "health_check.interval", "0"),
        (checked(replace(CHECK, interval=float("nan"))), "health_check.interval", "nan"),
        (checked(replace(CHECK, max_retries=0)), "health_check.max_retries", "0"),
        (checked(replace(CHECK, max_retries=1_001)), "health_check.max_retries", "1001"),
        (checked(replace(CHECK, max_wait_time=3_601)), "health_check.max_wait_time", "3601"),
        (checked(replace(CHECK, initial_delay=-1)), "health_check.initial_delay", "-1"),
        (created(replace(RECORD, traffic_ratio=1e7)), "route.traffic_ratio", "10000000.0"),
        (created(replace(RECORD, kernel_host="a b")), "route.kernel_host", "'a b'"),
        (created(replace(RECORD, kernel_host="a\n")), "route.kernel_host", r"'a\n'"),
        (created(replace(RECORD, status="gone")), "route.status", "'gone'"),
        (created(replace(RECORD, app="a" * 257)), "route.app", "'aaa"),
        (replace(STARTED, kernel_port=0), "kernel_port", "0"),
        (replace(STARTED, kernel_port=65_536), "kernel_port", "65536"),
        (replace(STARTED, kernel_host=""), "kernel_host", "''"),
        (replace(STARTED, protocol="udp"), "protocol", "'udp'"),
        (replace(FAILED, errors=("x" * 4_097,)), "errors[0]", "'xxx"),
        (replace(FAILED, errors=("x",) * 33), "errors", "a list of 33"),
        (replace(STATUS, new_status="ill"), "new_status", "'ill'"),
        (replace(STATUS, reason="r" * 1_025), "reason", "'rrr"),
        (replace(STATUS, consecutive_failures=-1), "consecutive_failures", "-1"),
        (replace(STATUS, observed_at=NAIVE), "observed_at", "'2026-01-01T00:00:00'"),
        (replace(RATIO, traffic_ratio=-0.1), "traffic_ratio", "-0.1"),
        (replace(RATIO, traffic_ratio=float("nan")), "traffic_ratio", "nan"),
        (replace(RATIO, traffic_ratio=float("inf")), "traffic_ratio", "inf"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_breaks_a_limit_is_refused_naming_field_and_value(
    event: Event, field: str, value: str
) -> None:
    with pytest.raises(InvalidEventError) as refused:
        encode(event, uuid4(), "test")
    assert refused.value.field == field
    assert refused.value.problem.startswith(value)
    assert "is not allowed: " in refused.value.problem


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_grace_that_json_cannot_hold_is_refused_and_not_read_as_none(number: float) -> None:
    with pytest.raises(InvalidEventError, match="initial_delay"):
        replace(CHECK, initial_delay=number)


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(InvalidEventError, match=r"endpoint_created: .*surrogates"):
        codec.check(EndpointCreatedEvent(endpoint_id=E, name="\udc80", model="m"))


def listed(*routes: RouteRecord) -> EndpointRouteListUpdatedEvent:
    return EndpointRouteListUpdatedEvent(endpoint_id=E, routes=routes)


def test_a_thousand_routes_are_allowed_and_one_more_is_not() -> None:
    routes = [RouteRecord(route_id=UUID(int=number)) for number in range(1_001)]
    event = listed(*routes[:1_000])
    assert decode(Entry(AT, 0, encode(event, uuid4(), "test"))).event == event
    with pytest.raises(InvalidEventError, match=r"^routes: .*<= 1000"):
        encode(listed(*routes), uuid4(), "test")


def test_a_wrong_route_of_a_list_is_named_by_its_place() -> None:
    with pytest.raises(InvalidEventError) as refused:
        codec.check(listed(RECORD, RouteRecord(route_id=E, traffic_ratio=2e6)))
    assert refused.value.field == "routes[1].traffic_ratio"


def test_a_list_of_no_routes_is_a_list() -> None:
    assert decode(Entry(AT, 0, encode(listed(), uuid4(), "test"))).event == listed()


def test_a_route_stands_in_a_list_once() -> None:
    with pytest.raises(InvalidEventError, match=f"routes: route_id {R} stands in the list 2 times"):
        listed(RECORD, replace(RECORD, app="x"))
    twice = f'{{"endpoint_id":"{E}","routes":[{{"route_id":"{R}"}},{{"route_id":"{R}"}}]}}'
    with pytest.raises(UndecodableEntryError, match="stands in the list 2 times"):
        decode(destroyed(twice, name=b"endpoint_route_list_updated"))


def test_an_entry_has_one_mebibyte_at_most() -> None:
    event = checked(CHECK)
    rest = sum(len(n) + len(v) for n, v in encode(event, R, "", Metadata(request_id="")).items())
    most = Metadata(request_id="x" * (ENTRY_BYTES_MAX - rest))
    assert sum(len(n) + len(v) for n, v in encode(event, R, "", most).items()) == 1_048_576
    with pytest.raises(
        InvalidEventError, match=r"the entry has 1048577 bytes, the limit is 1048576"
    ):
        encode(event, R, "s", most)


def test_fields_that_are_not_known_are_ignored() -> None:
    entry = destroyed(f'{{"endpoint_id":"{E}","region":{{"name":"x"}}}}', shard=b"7")
    assert decode(entry).event.endpoint_id == E


def test_an_entry_that_only_has_name_and_payload_is_read_as_version_1() -> None:
    fields = {b"name": b"endpoint_destroyed", b"payload": destroyed().fields[b"payload"]}
    recorded = decode(Entry(AT, 0, fields))
    assert recorded.event.endpoint_id == E
    assert (recorded.event_id, recorded.source, recorded.metadata) == ("", "", Metadata())


@pytest.mark.parametrize("name", [b"endpoint_renamed", b"Endpoint_Destroyed", b"\xff"])
def test_a_type_that_is_not_known_is_told_from_one_that_cannot_be_read(name: bytes) -> None:
    with pytest.raises(UnknownEventTypeError, match="is not known here"):
        decode(destroyed(name=name))


@pytest.mark.parametrize("v", [b"2", b"0", b"-1", b"", b"one", b"1.0", b"\xff", b"9" * 5_000])
def test_a_version_that_is_not_known_is_undecodable(v: bytes) -> None:
    with pytest.raises(UndecodableEntryError):
        decode(destroyed(v=v))


def test_a_newer_version_says_of_which_type_it_is_once_and_what_to_do() -> None:
    told = r"^endpoint_destroyed: version '2' is .* newest is 1; after an upgrade .* requeued"
    with pytest.raises(UndecodableEntryError, match=told):
        decode(destroyed(v=b"2"))


NESTED = "[" * 200_000


@pytest.mark.parametrize(
    "payload",
    [
        "{",
        "[]",
        "null",
        "7",
        '"x"',
        "{}",
        '{"endpoint_id":7}',
        '{"endpoint_id":"x"}',
        NESTED,
        f'{{"endpoint_id":"{E}","x":' + NESTED,
    ],
)
@pytest.mark.parametrize("name", [b"endpoint_destroyed", b"endpoint_health_check_updated"])
def test_garbage_in_a_payload_is_undecodable(name: bytes, payload: str) -> None:
    with pytest.raises(UndecodableEntryError):
        decode(destroyed(payload, name=name))


@pytest.mark.parametrize(
    "entry",
    [
        *(destroyed(metadata=b"{"), destroyed(metadata=b"[]")),
        *(destroyed(id=b"\xff"), destroyed(source=b"\xff")),
    ],
)
def test_garbage_beside_the_payload_is_undecodable(entry: Entry) -> None:
    with pytest.raises(UndecodableEntryError):
        decode(entry)


@pytest.mark.parametrize("missing", [b"name", b"payload"])
def test_an_entry_that_lacks_what_it_needs_is_undecodable(missing: bytes) -> None:
    fields = {name: value for name, value in destroyed().fields.items() if name != missing}
    with pytest.raises(UndecodableEntryError, match=missing.decode()):
        decode(Entry(AT, 0, fields))


NAMES = st.sampled_from([kind.wire_name.encode() for kind in EVENT_TYPES])


@given(
    name=NAMES,
    fields=st.dictionaries(
        st.sampled_from([b"v", b"id", b"source", b"payload", b"metadata"]),
        st.binary() | st.sampled_from([b"1", b"2", b"{}", b"[]", b"null", b'{"endpoint_id":null}']),
    ),
)
def test_no_entry_breaks_the_decoder(name: bytes, fields: dict[bytes, bytes]) -> None:
    with suppress(UndecodableEntryError):
        decode(Entry(AT, 0, {b"name": name, **fields}))


@given(some_event)
@settings(suppress_health_check=list(Slow), deadline=None, max_examples=examples(50))
def test_what_is_checked_is_what_is_written(event: Event) -> None:
    codec.check(event)


def test_null_stands_for_the_default_of_a_health_check() -> None:
    given_fields = {"path": "/ready", "interval": None, "max_retries": 3, "initial_delay": None}
    assert health_check_from(given_fields) == HealthCheck(path="/ready", max_retries=3)
    with pytest.raises(msgspec.ValidationError, match="interval"):
        health_check_from({"path": "/", "interval": 0})
    with pytest.raises(msgspec.ValidationError, match=r">= 0\.1 - at `\$\.interval`"):
        health_check_from({"path": "/", "interval": 0.09})
    assert health_check_from({"path": "/", "interval": 0.1}).interval == 0.1


def test_the_grace_is_sixty_seconds_unless_given() -> None:
    assert HealthCheck(path="/").grace_s == 60.0
    assert HealthCheck(path="/", initial_delay=0.0).grace_s == 0.0
