"""Decide which addresses a checker may connect to: those that events name, whoever wrote them."""

import errno
import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

EVERYWHERE = ("0.0.0.0/0", "::/0")
"""All networks; what is special must be named by a network of its own even so."""

SPECIAL = tuple(
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "::1/128"),  # this machine
        *("0.0.0.0/8", "::/128"),  # this machine as well, on many systems
        *("169.254.0.0/16", "fe80::/10"),  # link-local; the metadata of most clouds
        *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.0/24"),  # metadata of some clouds
        *("fd00:ec2::254/128", "fd20:ce::254/128"),
        *("224.0.0.0/4", "ff00::/8"),  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
"""Networks in which no replica is expected, and where others listen: what is not meant to be asked
by whoever can record an event."""

_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/96"), ip_network("::/96"))
"""IPv6 addresses that stand for the IPv4 address in their last 32 bits."""

_OWN_MEANING = frozenset({IPv6Address("::"), IPv6Address("::1")})
"""Those among them that stand for nothing else."""

_CACHED_MAX = 10_000

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network


class AddressRefusedError(PermissionError):
    """The checker may not connect to the address."""


class AddressPolicy:
    """Allows addresses that lie in the networks given.

    A special address is allowed only by a network that lies within the special one: 127.0.0.0/8
    allows what 0.0.0.0/0 does not.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = networks_in(networks)
        self.allows = lru_cache(_CACHED_MAX)(self._allows)

    def _allows(self, host: str) -> bool:
        """Whether the address *host*, which is no name, may be connected to."""
        address = _meant(ip_address(host))
        within = [network for network in self._networks if address in network]
        special = next((network for network in SPECIAL if address in network), None)
        if special is None:
            return bool(within)
        return any(_is_part(network, special) for network in within)

    def check(self, host: str) -> None:
        """Raise AddressRefusedError unless the address may be connected to."""
        if not self.allows(host):
            # The same words for each address of a name: they are put together otherwise.
            raise AddressRefusedError(errno.EACCES, "its address is in none of checker.networks")

    def socket_for(self, found: tuple[Any, ...]) -> socket.socket:
        """Return a socket for an address as getaddrinfo found it; the last look before connect.

        Raises:
            AddressRefusedError: It may not be connected to.
        """
        family, kind, protocol, _, place = found
        self.check(place[0])
        return socket.socket(family, kind, protocol)


def networks_in(networks: Sequence[str]) -> list[IpNetwork]:
    """Return the networks.

    Raises:
        ValueError: One of them is not written as 10.0.0.0/8 or fd00::/8.
    """
    found = []
    for network in networks:
        try:
            found.append(ip_network(network))
        except ValueError as error:
            raise ValueError(f"networks: {error}; 10.0.0.0/8 and fd00::/8 are allowed") from None
    return found


def _meant(address: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 address stands for, else the address."""
    if isinstance(address, IPv4Address) or address in _OWN_MEANING:
        return address
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_part(network: IpNetwork, special: IpNetwork) -> bool:
    if isinstance(network, IPv4Network) and isinstance(special, IPv4Network):
        return network.subnet_of(special)
    if isinstance(network, IPv6Network) and isinstance(special, IPv6Network):
        return network.subnet_of(special)
    return False
