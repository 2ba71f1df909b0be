"""Writes a configuration as the keys that Traefik's Redis provider reads."""

import re
from collections.abc import Iterable, Iterator, Mapping

from consumers.publishers.traefik.http_document import duration, router_middlewares
from consumers.publishers.traefik.traefik_configuration import (
    RETRY,
    REVISION,
    REVISION_HEADER,
    SERVERS_MAX,
    TRANSPORT,
    TraefikConfiguration,
    TraefikService,
)
from consumers.publishers.traefik.traefik_settings import TraefikSettings

SLOTS_MIN = 4
"""Slots that a service has at least; it gets twice as many when they do not suffice.

Traefik reads every key at each change: slots that are not needed cost it time.
"""

UNUSED_URL, UNUSED_WEIGHT = "http://127.0.0.1:9", "0"
"""What an unused slot holds."""

CERTIFICATE, CERTIFICATE_KEY = (
    f"tls/stores/default/defaultcertificate/{name}" for name in ("certfile", "keyfile")
)
"""The keys of the default certificate."""

_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MANAGED = re.compile(
    rf"http/(routers|services|middlewares)/(endpoint-{_UUID}|{REVISION}|{RETRY})/"
    rf"|http/serverstransports/{TRANSPORT}/"
)
_SLOT = re.compile(
    rf"http/services/(?P<name>endpoint-{_UUID})/loadbalancer/servers/(?P<slot>\d{{1,4}})/url\Z"
)


def is_managed(key: str) -> bool:
    """Whether *key*, below the root, is one that a publisher may delete; Traefik ignores case."""
    return _MANAGED.match(key.lower()) is not None


def slots_in(keys: Iterable[str]) -> dict[str, int]:
    """Return how many slots each service has in *keys*."""
    slots: dict[str, int] = {}
    for key in keys:
        if (found := _SLOT.match(key)) is not None and int(found["slot"]) < SERVERS_MAX:
            slots[found["name"]] = max(slots.get(found["name"], 0), int(found["slot"]) + 1)
    return slots


def slots_for(servers: int, slots: int = 0) -> int:
    """Return how many slots a service of so many *servers* gets, which has *slots* now.

    A slot that there was stays: Traefik reads keys one after another, and would read half of one
    that comes or goes meanwhile.
    """
    needed = SLOTS_MIN
    while needed < max(servers, slots):
        needed *= 2
    return needed


def redis_keys(
    configuration: TraefikConfiguration, settings: TraefikSettings, slots: Mapping[str, int]
) -> dict[str, str]:
    """Return all keys below the root but the certificate's; *slots* are what services have now."""
    transport = f"http/serverstransports/{TRANSPORT}/forwardingtimeouts/dialtimeout"
    revision = f"http/middlewares/{REVISION}/headers/customresponseheaders/{REVISION_HEADER}"
    keys = {
        revision: configuration.revision,
        f"http/middlewares/{RETRY}/retry/attempts": str(settings.attempts),
        transport: duration(settings.dial_timeout_s),
    }
    for service in configuration.services:
        keys.update(_router(service, settings))
        keys.update(_service(service, slots.get(service.name, 0)))
    return keys


def unused_slots(keys: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be written before *keys*: each service's keys that are not *known* yet.

    Their servers get no traffic, so that it does no harm if Traefik reads only some of them.
    """
    return {
        key: _without_traffic(key, value)
        for key, value in keys.items()
        if key.startswith("http/services/") and key not in known
    }


def _without_traffic(key: str, value: str) -> str:
    if key.endswith("/weight"):
        return UNUSED_WEIGHT
    return UNUSED_URL if key.endswith("/url") else value


def _router(service: TraefikService, settings: TraefikSettings) -> Iterator[tuple[str, str]]:
    router = f"http/routers/{service.name}"
    yield f"{router}/rule", service.rule
    yield f"{router}/service", service.name
    for place, name in enumerate(settings.entry_points):
        yield f"{router}/entrypoints/{place}", name
    for place, name in enumerate(router_middlewares(service, settings)):
        yield f"{router}/middlewares/{place}", name
    if service.path:
        yield f"http/middlewares/{service.name}/stripprefix/prefixes/0", service.path


def _service(service: TraefikService, slots: int) -> Iterator[tuple[str, str]]:
    balancer = f"http/services/{service.name}/loadbalancer"
    yield f"{balancer}/passhostheader", "true"
    yield f"{balancer}/serverstransport", TRANSPORT
    for slot in range(slots_for(len(service.servers), slots)):
        used = service.servers[slot] if slot < len(service.servers) else None
        yield f"{balancer}/servers/{slot}/url", used.url if used else UNUSED_URL
        yield f"{balancer}/servers/{slot}/weight", str(used.weight) if used else UNUSED_WEIGHT
