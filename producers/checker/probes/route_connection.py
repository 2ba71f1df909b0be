"""A connection to a route, for probes that speak no HTTP/1.1."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from events.catalogue.health_check import HealthCheck
from producers.checker.address_policy import AddressPolicy, AddressRefusedError
from producers.checker.probes.address import Address
from producers.checker.probes.tls_context import server_name, tls_context


@asynccontextmanager
async def route_connection(
    policy: AddressPolicy, address: Address, check: HealthCheck, protocols: tuple[str, ...] = ()
) -> AsyncIterator[ByteStream]:
    """Connect to the first address of the host that the policy allows, and that answers.

    Raises:
        TimeoutError: There is no connection within `connect_timeout_s`.
        OSError: None of its addresses may be, or can be, connected to; or TLS failed.
    """
    with anyio.fail_after(check.connect_timeout_s):
        stream: ByteStream = await _connected(policy, address)
        try:
            if check.tls is not None:
                stream = await TLSStream.wrap(
                    stream,
                    hostname=server_name(check, address.host),
                    ssl_context=tls_context(check.tls, protocols),
                    standard_compatible=False,
                )
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
    try:
        yield stream
    finally:
        await anyio.aclose_forcefully(stream)


async def _connected(policy: AddressPolicy, address: Address) -> ByteStream:
    failures: list[OSError] = []
    found = await anyio.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    for *_, place in found:
        try:
            policy.check(str(place[0]))
            return await anyio.connect_tcp(str(place[0]), int(place[1]))
        except OSError as failure:
            failures.append(failure)
    # What an allowed address did says more than that another one is not allowed.
    raise min(failures, key=lambda failure: isinstance(failure, AddressRefusedError))
