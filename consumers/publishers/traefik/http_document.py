"""Writes a configuration as the document that Traefik's HTTP provider reads."""

from typing import Any

import msgspec

from consumers.publishers.traefik.default_certificate import Certificate
from consumers.publishers.traefik.traefik_configuration import (
    RETRY,
    REVISION,
    REVISION_HEADER,
    TRANSPORT,
    TraefikConfiguration,
    TraefikService,
)
from consumers.publishers.traefik.traefik_settings import TraefikSettings


def http_document(
    configuration: TraefikConfiguration,
    settings: TraefikSettings,
    certificate: Certificate | None = None,
) -> bytes:
    """Return the document, which is never empty: an empty one would wipe out all routes."""
    middlewares: dict[str, Any] = {
        REVISION: {"headers": {"customResponseHeaders": {REVISION_HEADER: configuration.revision}}},
        RETRY: {"retry": {"attempts": settings.attempts}},
    }
    http: dict[str, Any] = {
        "middlewares": middlewares,
        "serversTransports": {
            TRANSPORT: {"forwardingTimeouts": {"dialTimeout": duration(settings.dial_timeout_s)}}
        },
    }
    if configuration.services:
        http["routers"] = {one.name: _router(one, settings) for one in configuration.services}
        http["services"] = {one.name: _service(one) for one in configuration.services}
    for service in configuration.services:
        if service.path:
            middlewares[service.name] = {"stripPrefix": {"prefixes": [service.path]}}
    document: dict[str, Any] = {"http": http}
    if certificate is not None:
        pair = {"certFile": certificate.certificate, "keyFile": certificate.key}
        document["tls"] = {"stores": {"default": {"defaultCertificate": pair}}}
    return msgspec.json.encode(document)


def router_middlewares(service: TraefikService, settings: TraefikSettings) -> list[str]:
    """Return the middlewares that the requests to *service* pass, in this order."""
    return [
        REVISION,
        *settings.middlewares,
        *(() if service.is_public else settings.private_middlewares),
        *((service.name,) if service.path else ()),
        RETRY,
    ]


def duration(seconds: float) -> str:
    """Return a duration as Traefik reads it."""
    return f"{round(seconds * 1_000)}ms"


def _router(service: TraefikService, settings: TraefikSettings) -> dict[str, Any]:
    router: dict[str, Any] = {
        "rule": service.rule,
        "service": service.name,
        "middlewares": router_middlewares(service, settings),
    }
    if settings.entry_points:
        router["entryPoints"] = settings.entry_points
    return router


def _service(service: TraefikService) -> dict[str, Any]:
    balancer: dict[str, Any] = {"passHostHeader": True, "serversTransport": TRANSPORT}
    if service.servers:
        balancer["servers"] = service.servers
    return {"loadBalancer": balancer}
