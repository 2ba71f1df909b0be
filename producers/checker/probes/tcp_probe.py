"""Probe a route by connecting to it."""

from events.catalogue.health_check import HealthCheck
from producers.checker.address_policy import AddressPolicy
from producers.checker.probe_result import ProbeResult
from producers.checker.probes.address import Address
from producers.checker.probes.route_connection import route_connection


async def tcp_probe(policy: AddressPolicy, address: Address, check: HealthCheck) -> ProbeResult:
    """Connect, over TLS where the check says so; nothing is sent.

    Raises:
        OSError: There is no connection, or none in time.
    """
    async with route_connection(policy, address, check):
        return ProbeResult(success=True)
