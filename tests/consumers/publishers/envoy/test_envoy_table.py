"""What Envoy is given of a table."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from consumers.publishers.envoy.envoy_cluster import assignment_of
from consumers.publishers.envoy.envoy_resource import ResourceType, response_of
from consumers.publishers.envoy.envoy_settings import EnvoySettings
from consumers.publishers.envoy.envoy_table import EnvoyTable, encode_table
from consumers.publishers.routing_rule import ANY_HOST, RoutingRule
from consumers.publishers.table_snapshot import PublishedEndpoint, published
from projections.route_table.route import Route
from projections.route_table.routing import routable
from tests.consumers.publishers.support.put_feed import endpoint_of, route_of, snapshot_at

SETTINGS = EnvoySettings(port=18_000)
GOLDEN = Path(__file__).parent / "golden"

CHAT = endpoint_of(
    "chat",
    route_of(1, 8_001, traffic_ratio=0.75, labels={"revision": "7", "zone": "a"}),
    route_of(2, 8_002, traffic_ratio=0.25, kernel_host="::1"),
    labels={"host": "chat.example, llm.example", "path": "/v2.0/chat"},
)
EMBED = endpoint_of("embed", route_of(3, 8_003, protocol="grpc"), at=5)


def table_of(*endpoints: Any, at: int = 1, before: EnvoyTable | None = None) -> EnvoyTable:  # noqa: ANN401 - endpoints
    return encode_table(snapshot_at(*endpoints, at=at), SETTINGS, before)


def published_of(*routes: Route) -> PublishedEndpoint:
    endpoint = endpoint_of("chat", *routes)
    return published(endpoint, routable(endpoint))


def weights_of(*routes: Route) -> list[tuple[int, int]]:
    """Return port and weight of each address."""
    assignment, _ = assignment_of(published_of(*routes))
    return [
        (one["endpoint"]["address"]["socket_address"]["port_value"], one["load_balancing_weight"])
        for group in assignment["endpoints"]
        for one in group["lb_endpoints"]
    ]


@pytest.mark.parametrize("kind", ResourceType)
def test_a_response_is_as_it_was_recorded(kind: ResourceType) -> None:
    table = table_of(CHAT, EMBED)
    answer = table.answer(kind, list(table.endpoints))
    assert answer is not None
    response = msgspec.json.format(response_of(kind, answer), indent=2)

    recorded = GOLDEN / f"{kind.value}.json"

    assert response.decode() + "\n" == recorded.read_text()


def test_a_route_without_weight_is_left_out_and_a_small_one_is_not() -> None:
    routes = [route_of(n, 8_000 + n, traffic_ratio=r) for n, r in enumerate((0, 1e-9, 1_000_000))]

    assert sorted(weights_of(*routes)) == [(8_001, 1), (8_002, 10_000)]


def test_routes_at_one_address_are_one_with_their_weights_together() -> None:
    routes = [route_of(n, 8_001, traffic_ratio=2) for n in range(2)]

    assert sorted(weights_of(*routes, route_of(3, 8_002))) == [(8_001, 4), (8_002, 1)]


def test_an_endpoint_without_routes_has_an_empty_assignment() -> None:
    assignment, refusals = assignment_of(published_of())

    assert assignment["endpoints"] == []
    assert refusals == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kernel_host": "node-1"}, "kernel_host node-1 is no IP address"),
        ({"kernel_host": "fe80::1%eth0"}, "no address to connect to"),
        ({"kernel_host": "0.0.0.0"}, "no address to connect to"),  # noqa: S104 - nothing binds to it
        ({"protocol": "tcp"}, "protocol tcp cannot be routed"),
        ({"protocol": "grpc"}, "protocol grpc is not that of the endpoint's other routes"),
    ],
)
def test_what_cannot_be_expressed_is_refused_and_the_others_go_on(
    fields: dict[str, Any], why: str
) -> None:
    bad = route_of(1, **fields)
    endpoint = published_of(bad, route_of(2, 8_002))

    assignment, [refusal] = assignment_of(endpoint)

    assert len(assignment["endpoints"][0]["lb_endpoints"]) == 1
    assert refusal.subject == f"chat, route {bad.route_id}"
    assert why in refusal.why


def test_a_change_of_one_endpoint_keeps_the_versions_of_all_else() -> None:
    before = table_of(CHAT, EMBED)
    drained = endpoint_of("embed", route_of(3, 8_003, protocol="grpc", traffic_ratio=0), at=9)

    after = table_of(CHAT, drained, before=before)

    for kind in (ResourceType.LISTENERS, ResourceType.ROUTES, ResourceType.CLUSTERS):
        assert after.answer(kind, ()) == before.answer(kind, ())
    chat, embed = str(CHAT.endpoint_id), str(EMBED.endpoint_id)
    endpoints = ResourceType.ENDPOINTS
    assert after.answer(endpoints, [chat]) == before.answer(endpoints, [chat])
    changed = after.answer(endpoints, [embed])
    assert changed is not None
    assert changed.version.revision == "9-0"


def test_two_processes_give_the_same_content_the_same_digest() -> None:
    moved = table_of(CHAT, at=7, before=table_of(CHAT, at=1))
    fresh = table_of(CHAT, at=7)

    for kind in ResourceType:
        names = list(fresh.endpoints)
        one, other = moved.answer(kind, names), fresh.answer(kind, names)
        assert one is not None
        assert other is not None
        assert one.version.digest == other.version.digest
        assert (one.version.revision, other.version.revision) == ("1-0", "7-0")


def test_nothing_is_said_of_an_endpoint_that_is_not_there() -> None:
    assert table_of(CHAT).answer(ResourceType.ENDPOINTS, ["stranger"]) is None
    assert table_of(CHAT).answer(ResourceType.ENDPOINTS, []) is None


def test_endpoints_without_labels_are_reached_where_the_settings_say() -> None:
    by_domain = encode_table(snapshot_at(EMBED), replace(SETTINGS, domain="models.example"))
    by_path = encode_table(snapshot_at(EMBED), replace(SETTINGS, path="/endpoints/{name}"))

    embed = EMBED.endpoint_id
    assert by_domain.rules.by_endpoint[embed].hosts[0] == "embed.models.example"
    assert by_path.rules.by_endpoint[embed] == RoutingRule((ANY_HOST,), "/endpoints/embed")
