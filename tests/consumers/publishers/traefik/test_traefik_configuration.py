from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.traefik.default_certificate import Certificate
from consumers.publishers.traefik.http_document import http_document
from consumers.publishers.traefik.redis_keys import redis_keys, slots_for, slots_in
from consumers.publishers.traefik.traefik_configuration import (
    TraefikServer,
    traefik_configuration,
)
from consumers.publishers.traefik.traefik_settings import TraefikSettings
from events.catalogue.health_check import HealthCheck
from events.entry.entry_id import EntryId
from projections.route_table.route import Route
from tests.consumers.publishers.support.traefik_world import endpoint, snapshot

NAME = f"endpoint-{UUID(int=1)}"
AT = EntryId(7, 1)


def route(number: int, **fields: Any) -> Route:  # noqa: ANN401 - the fields of the route
    return Route(
        **{
            "route_id": UUID(int=100 + number),
            "session_id": None,
            "app": "",
            "kernel_host": f"10.0.0.{number}",
            "kernel_port": 8000,
            "protocol": "http",
            "traffic_ratio": 1.0,
            "status": "running",
            "health": "not_checked",
            "listed_at": AT,
            **fields,
        }
    )


TWO = snapshot(
    endpoint(
        1,
        route(1, traffic_ratio=0.75),
        route(2, traffic_ratio=0.25, protocol="grpc"),
        version=AT,
        open_to_public=True,
    ),
    endpoint(2, version=EntryId(7, 2), labels={"host": "b.example,c.example", "path": "/v2"}),
)
SETTINGS = TraefikSettings(
    domain="models.example",
    entry_points=("web",),
    private_middlewares=("auth@file",),
    default_certificate=False,
)


def test_the_document_of_a_table_is_this() -> None:
    first, second = NAME, f"endpoint-{UUID(int=2)}"
    document = http_document(traefik_configuration(TWO, SETTINGS), SETTINGS)
    assert msgspec.json.decode(document) == {
        "http": {
            "middlewares": {
                "routestream-revision": {
                    "headers": {"customResponseHeaders": {"X-Route-Rev": "7-2"}}
                },
                "routestream-retry": {"retry": {"attempts": 5}},
                second: {"stripPrefix": {"prefixes": ["/v2"]}},
            },
            "serversTransports": {"routestream": {"forwardingTimeouts": {"dialTimeout": "2000ms"}}},
            "routers": {
                first: {
                    "rule": "(Host(`model-1.models.example`)"
                    f" || Host(`{UUID(int=1)}.models.example`))",
                    "service": first,
                    "middlewares": ["routestream-revision", "routestream-retry"],
                    "entryPoints": ["web"],
                },
                second: {
                    "rule": "(Host(`b.example`) || Host(`c.example`))"
                    " && (Path(`/v2`) || PathPrefix(`/v2/`))",
                    "service": second,
                    "middlewares": [
                        *("routestream-revision", "auth@file"),
                        *(second, "routestream-retry"),
                    ],
                    "entryPoints": ["web"],
                },
            },
            "services": {
                first: {
                    "loadBalancer": {
                        "passHostHeader": True,
                        "serversTransport": "routestream",
                        "servers": [
                            {"url": "http://10.0.0.1:8000", "weight": 7500},
                            {"url": "h2c://10.0.0.2:8000", "weight": 2500},
                        ],
                    }
                },
                second: {
                    "loadBalancer": {"passHostHeader": True, "serversTransport": "routestream"}
                },
            },
        }
    }


def test_traefik_is_told_no_health_check_so_that_there_is_one_verdict() -> None:
    checked = endpoint(
        1, route(1, health="healthy"), version=AT, health_check=HealthCheck(path="/")
    )
    document = http_document(traefik_configuration(snapshot(checked), SETTINGS), SETTINGS)
    assert b"10.0.0.1" in document
    assert b"healthcheck" not in document.lower()


def test_the_keys_of_a_table_are_these() -> None:
    alone = snapshot(TWO.endpoints[UUID(int=1)].state)
    keys = redis_keys(traefik_configuration(alone, SETTINGS), SETTINGS, {})
    servers = f"http/services/{NAME}/loadbalancer/servers"
    unused = {
        f"{servers}/{slot}/{field}": value
        for slot in range(2, 4)
        for field, value in (("url", "http://127.0.0.1:9"), ("weight", "0"))
    }
    assert keys == unused | {
        "http/middlewares/routestream-revision/headers/customresponseheaders/X-Route-Rev": "7-1",
        "http/middlewares/routestream-retry/retry/attempts": "5",
        "http/serverstransports/routestream/forwardingtimeouts/dialtimeout": "2000ms",
        f"http/routers/{NAME}/rule": "(Host(`model-1.models.example`)"
        f" || Host(`{UUID(int=1)}.models.example`))",
        f"http/routers/{NAME}/service": NAME,
        f"http/routers/{NAME}/entrypoints/0": "web",
        f"http/routers/{NAME}/middlewares/0": "routestream-revision",
        f"http/routers/{NAME}/middlewares/1": "routestream-retry",
        f"http/services/{NAME}/loadbalancer/passhostheader": "true",
        f"http/services/{NAME}/loadbalancer/serverstransport": "routestream",
        f"{servers}/0/url": "http://10.0.0.1:8000",
        f"{servers}/0/weight": "7500",
        f"{servers}/1/url": "h2c://10.0.0.2:8000",
        f"{servers}/1/weight": "2500",
    }


def test_a_table_without_endpoints_is_no_empty_document() -> None:
    empty = traefik_configuration(snapshot(), SETTINGS)
    document = msgspec.json.decode(http_document(empty, SETTINGS, Certificate("c", "k")))
    assert document["http"]["middlewares"].keys() == {"routestream-revision", "routestream-retry"}
    assert document["tls"]["stores"]["default"]["defaultCertificate"] == {
        "certFile": "c",
        "keyFile": "k",
    }


def test_a_path_of_the_settings_leads_to_endpoints_without_labels() -> None:
    settings = TraefikSettings(path="/models/{name}")
    of_two = traefik_configuration(TWO, settings).services
    assert [(one.rule, one.path) for one in of_two] == [
        ("(Path(`/models/model-1`) || PathPrefix(`/models/model-1/`))", "/models/model-1"),
        (
            "(Host(`b.example`) || Host(`c.example`)) && (Path(`/v2`) || PathPrefix(`/v2/`))",
            "/v2",
        ),
    ]


def test_a_name_that_makes_no_path_is_refused_and_the_others_are_not() -> None:
    poisonous = endpoint(3, version=AT, name="a`) || Path(`/")
    table = snapshot(endpoint(1, version=AT), poisonous)
    made = traefik_configuration(table, TraefikSettings(path="/models/{name}"))
    assert [service.name for service in made.services] == [NAME]
    assert [refusal.subject for refusal in made.refusals] == ["a`) || Path(`/"]


def test_a_name_that_is_too_long_for_the_domain_leaves_the_id() -> None:
    table = snapshot(endpoint(1, version=AT, name=".".join(["a" * 60] * 4)))
    [service] = traefik_configuration(table, SETTINGS).services
    assert service.rule == f"(Host(`{UUID(int=1)}.models.example`))"


def test_routes_at_one_address_are_one_server_with_both_weights() -> None:
    twice = (route(1), replace(route(2), kernel_host="10.0.0.1", traffic_ratio=2.0))
    [service] = traefik_configuration(
        snapshot(endpoint(1, *twice, route(3), version=AT)), SETTINGS
    ).services
    assert service.servers == (
        TraefikServer("http://10.0.0.1:8000", 3),
        TraefikServer("http://10.0.0.3:8000", 1),
    )


def test_an_ipv6_address_stands_in_brackets() -> None:
    table = snapshot(endpoint(1, route(1, kernel_host="fd00::1"), version=AT))
    [service] = traefik_configuration(table, SETTINGS).services
    assert service.servers == (TraefikServer("http://[fd00::1]:8000", 1),)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kernel_host": "a:b"}, "host 'a:b' is no IPv6 address"),
        ({"kernel_host": "a@b"}, "host 'a@b' is no address and no name of a host"),
        (
            {"kernel_host": "fe80::1%eth0"},
            "host 'fe80::1%eth0' names an interface, which is another on each machine",
        ),
        ({"kernel_port": 70_000}, "port 70000 is not from 1 to 65535"),
        ({"protocol": "preopen"}, "protocol preopen is not one of http, h2, grpc"),
    ],
)
def test_a_route_without_a_url_is_refused_alone(fields: dict[str, object], why: str) -> None:
    table = snapshot(endpoint(1, route(1), route(2, **fields), version=AT))
    made = traefik_configuration(table, SETTINGS)
    assert [len(service.servers) for service in made.services] == [1]
    assert made.refusals == (Refusal(f"model-1, route {UUID(int=102)}", why),)


@pytest.mark.parametrize(
    ("servers", "there", "slots"),
    [(0, 0, 4), (4, 0, 4), (5, 0, 8), (9, 8, 16), (1, 16, 16), (0, 32, 32), (1_024, 8, 1_024)],
)
def test_slots_double_and_never_go(servers: int, there: int, slots: int) -> None:
    assert slots_for(servers, there) == slots


def test_slots_are_found_again_in_the_keys() -> None:
    many = snapshot(endpoint(1, *(route(n) for n in range(1, 12)), version=AT))
    keys = redis_keys(traefik_configuration(many, SETTINGS), SETTINGS, {})
    assert slots_in(keys) == {NAME: 16}
    fewer = redis_keys(traefik_configuration(TWO, SETTINGS), SETTINGS, slots_in(keys))
    assert slots_in(fewer)[NAME] == 16


@pytest.mark.parametrize("path", ["/models", "/{model}", "models/{id}", "/{id}/", "/{id"])
def test_a_path_that_could_not_tell_endpoints_apart_is_no_setting(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        TraefikSettings(path=path)
