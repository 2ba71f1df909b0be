"""How certificates of routes are verified, made once for all probes that verify alike."""

import ssl
from functools import lru_cache

from events.catalogue.health_check import HealthCheck, Tls

_KEPT_MAX = 128
"""Contexts that are kept; one that trusts the system's authorities has some 500 KB."""


@lru_cache(_KEPT_MAX)
def tls_context(tls: Tls, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Return the context for *tls*; *protocols* are offered to the server, as ALPN names.

    Raises:
        ssl.SSLError: The authorities cannot be read.
    """
    context = ssl.create_default_context(cadata=tls.ca)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def server_name(check: HealthCheck, host: str) -> str:
    """Return the name that the certificate must have: the Host asked for, or the route's."""
    if check.host_header is None:
        return host
    if check.host_header.startswith("["):
        return check.host_header[1:].partition("]")[0]
    return check.host_header.partition(":")[0]
