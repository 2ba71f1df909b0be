"""Resolve the names of routes to the addresses that a checker may connect to."""

import socket

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from producers.checker.address_policy import AddressPolicy


class AllowedResolver(ThreadedResolver):
    """Leaves out addresses that the policy refuses, unless it refuses all of them.

    Else what an allowed address did would be hidden by a later one that is refused. The policy is
    asked again for the address that is connected to.
    """

    def __init__(self, policy: AddressPolicy) -> None:
        super().__init__()
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of *host*."""
        found = await super().resolve(host, port, family)
        return [one for one in found if self._policy.allows(one["host"])] or found
