from collections.abc import Callable
from uuid import UUID, uuid4

import msgspec
import pytest

from events.catalogue.endpoint import EndpointCreatedEvent, Owner
from events.catalogue.event import Event
from events.catalogue.labels import LABELS_MAX
from events.catalogue.route import (
    EndpointRouteListUpdatedEvent,
    RouteCreatedEvent,
    RouteRecord,
    RouteStartedEvent,
)
from events.entry.codec import decode, encode
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import InvalidEventError

E, R = UUID(int=0xE), UUID(int=0xA)
TOO_MANY = {f"key-{number}": "" for number in range(LABELS_MAX + 1)}
AT_THE_LIMITS = {"a" * 63: "v" * 256, "0": "", "example.com/a_b-c": "ü b=c"} | dict(
    list(TOO_MANY.items())[: LABELS_MAX - 3]
)


def created(labels: dict[str, str], owner: Owner | None = None) -> EndpointCreatedEvent:
    return EndpointCreatedEvent(endpoint_id=E, name="chat", model="m", labels=labels, owner=owner)


def listed(labels: dict[str, str]) -> EndpointRouteListUpdatedEvent:
    return EndpointRouteListUpdatedEvent(
        endpoint_id=E, routes=(RouteRecord(route_id=R, labels=labels),)
    )


def route_created(labels: dict[str, str]) -> RouteCreatedEvent:
    return RouteCreatedEvent(endpoint_id=E, route=RouteRecord(route_id=R, labels=labels))


def started(labels: dict[str, str] | None) -> RouteStartedEvent:
    return RouteStartedEvent(
        endpoint_id=E, route_id=R, kernel_host="10.0.0.1", kernel_port=80, labels=labels
    )


def read_back(event: Event) -> Event:
    return decode(Entry(EntryId(5, 7), 0, encode(event, uuid4(), "test"))).event


@pytest.mark.parametrize("event_with", [created, listed, route_created, started])
def test_labels_at_their_limits_read_back_as_they_were(
    event_with: Callable[[dict[str, str]], Event],
) -> None:
    assert len(AT_THE_LIMITS) == LABELS_MAX
    event = event_with(AT_THE_LIMITS)
    assert read_back(event) == event


@pytest.mark.parametrize(
    ("labels", "field", "problem"),
    [
        (
            {"zone": "a", "9 lives": "x"},
            "labels",
            "key '9 lives' is not allowed: it must be 1 to 63",
        ),
        ({"": "x"}, "labels", "key '' is not allowed: it must be 1 to 63"),
        ({"-zone": "x"}, "labels", "key '-zone' is not allowed: it must be 1 to 63"),
        ({"zone\n": "x"}, "labels", r"key 'zone\n' is not allowed: it must be 1 to 63"),
        ({"k" * 64: "x"}, "labels", "key 'kkk"),
        ({"role": "a", "zone": "v" * 257}, "labels.zone", "'vvv"),
        ({"zone": 7}, "labels.zone", "7 is not allowed: a label's value is text"),
        (TOO_MANY, "labels", "there are 65, the limit is 64"),
    ],
)
def test_a_label_beyond_its_limits_is_refused_naming_key_value_and_limit(
    labels: dict[str, str], field: str, problem: str
) -> None:
    for event, place in (
        (created(labels), field),
        (started(labels), field),
        (route_created(labels), f"route.{field}"),
        (listed(labels), f"routes[0].{field}"),
    ):
        with pytest.raises(InvalidEventError) as refused:
            encode(event, uuid4(), "test")
        assert refused.value.field == place
        assert refused.value.problem.startswith(problem)


def test_a_value_that_is_too_long_is_refused_with_its_length_and_the_limit() -> None:
    with pytest.raises(InvalidEventError, match=r"has 257 characters, the limit is 256$"):
        encode(created({"zone": "v" * 257}), uuid4(), "test")


def test_an_owner_is_as_much_as_is_known_of_it() -> None:
    for owner in (Owner(), Owner(project="chatbots"), Owner(domain="d", project="p", user="u")):
        assert read_back(created({}, owner)) == created({}, owner)


@pytest.mark.parametrize("name", ["", "n" * 257])
@pytest.mark.parametrize("part", ["domain", "project", "user"])
def test_a_part_of_an_owner_has_1_to_256_characters(part: str, name: str) -> None:
    with pytest.raises(InvalidEventError) as refused:
        encode(created({}, Owner(**{part: name})), uuid4(), "test")
    assert refused.value.field == f"owner.{part}"


def test_a_route_of_a_release_without_labels_has_none() -> None:
    payload = {"endpoint_id": str(E), "route": {"route_id": str(R)}}
    fields = {b"name": b"route_created", b"v": b"1", b"payload": msgspec.json.encode(payload)}
    assert decode(Entry(EntryId(5, 7), 0, fields)).event == route_created({})


@pytest.mark.parametrize("event_with", [created, listed, route_created, started])
def test_events_with_labels_still_have_a_hash(
    event_with: Callable[[dict[str, str]], Event],
) -> None:
    assert len({event_with({"zone": "a"}), event_with({"zone": "a"}), event_with({})}) == 2
