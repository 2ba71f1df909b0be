"""Which addresses a checker connects to, whatever a host in an event is called."""

import socket
from ipaddress import IPv4Address

import pytest
from aiohttp.test_utils import unused_port
from hypothesis import given
from hypothesis import strategies as st

from consumers.processes.embedded import EmbeddedServer
from events.catalogue.health_check import HealthCheck
from events.catalogue.route import Protocol
from producers.checker.address_policy import EVERYWHERE, AddressPolicy
from producers.checker.probe import open_session, probe
from producers.checker.probes.address import Address
from producers.checker.settings import CheckerSettings
from tests.consumers.support.logged import until_said
from tests.producers.support.checker_ports import CHECK, LOOPBACK, Bench, route_at
from tests.support.log_lines import captured_lines

DEFAULT = AddressPolicy(CheckerSettings().networks)
PROTOCOLS: tuple[Protocol, ...] = ("http", "tcp")
CANONICAL = ("127.0.0.1", "localhost", "0.0.0.0")  # noqa: S104 - refused
SPECIAL = [
    *("127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "0.1.2.3", "::"),  # noqa: S104 - refused
    *("169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "fd00:ec2::254"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254"),
    *("224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::a9fe:a9fe", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "::127.0.0.1", "::a9fe:a9fe"),
]


@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_is_refused_by_networks_that_are_not_about_it(address: str) -> None:
    for networks in (EVERYWHERE, ("10.0.0.0/8", "fd00::/8"), ("64:ff9b::/96", "::/0")):
        assert not AddressPolicy(networks).allows(address)


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("127.0.0.0/8", "64:ff9b::7f00:1"),
        ("127.0.0.2/32", "127.0.0.2"),
        ("::1/128", "::1"),
        ("fe80::/10", "fe80::1%eth0"),
        ("169.254.0.0/16", "169.254.169.254"),
    ],
)
def test_a_network_that_is_about_a_special_address_allows_it(network: str, address: str) -> None:
    assert AddressPolicy((network,)).allows(address)
    assert AddressPolicy((*EVERYWHERE, network)).allows(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "2a00::1"])
def test_any_other_address_is_allowed_unless_networks_are_set(address: str) -> None:
    assert DEFAULT.allows(address)
    assert not AddressPolicy(("172.16.0.0/12",)).allows(address)


@given(st.data(), st.lists(st.ip_addresses(v=4), max_size=3))
def test_an_address_is_allowed_exactly_by_the_networks_that_hold_it(
    data: st.DataObject, listed: list[IPv4Address]
) -> None:
    policy = AddressPolicy([f"{one}/32" for one in listed])
    address = data.draw(st.ip_addresses(v=4) | st.sampled_from(listed or [IPv4Address(0)]))
    assert policy.allows(str(address)) == (address in listed)


def test_a_network_that_is_none_is_refused() -> None:
    for network in ("10.0.0.1/8", "localhost", "10.0.0.0/33"):
        with pytest.raises(ValueError, match=r"^networks: .* 10\.0\.0\.0/8 and fd00::/8 are"):
            CheckerSettings(networks=(network,))
    assert CheckerSettings().networks == EVERYWHERE


@pytest.mark.parametrize(
    ("protocol", "host"),
    [
        *(("http", host) for host in CANONICAL),
        *(("tcp", host) for host in (*CANONICAL, "127.1", "2130706433")),
    ],
)
async def test_nothing_is_sent_to_an_address_that_is_refused(host: str, protocol: Protocol) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        address = Address(host, listener.getsockname()[1], protocol)
        async with open_session(DEFAULT) as session:
            result = await probe(session, address, HealthCheck(path="/"))
        assert result.failed_here
        assert result.reason == "cannot connect: its address is in none of checker.networks"
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_the_port_of_a_redis_does_not_become_healthy(shared_server: EmbeddedServer) -> None:
    address = Address("127.0.0.1", shared_server.port, "tcp")
    for policy, success in ((DEFAULT, False), (LOOPBACK, True)):
        async with open_session(policy) as session:
            assert (await probe(session, address, HealthCheck(path="/"))).success == success


async def test_a_connection_that_an_allowed_address_refuses_is_the_routes_failure() -> None:
    async with open_session(LOOPBACK) as session:
        for protocol in PROTOCOLS:
            address = Address("localhost", unused_port(), protocol)
            result = await probe(session, address, HealthCheck(path="/"))
            assert (result.failed_here, result.reason) == (False, "connection refused")


async def test_a_route_at_a_refused_address_keeps_its_health_and_the_log_says_why() -> None:
    async with open_session(DEFAULT) as session:
        bench = Bench(session)
        server = await bench.server()
        bench.table.put(route_at(server, health="healthy", health_ms=5), check=CHECK)
        with captured_lines() as lines:
            async with bench.checker() as checker:
                await until_said(lines, "probe_void", "checker.networks")
                assert checker.probe_ages_s() == {}
        assert bench.records.kept == []
        [told] = [line for line in lines if line["event"] == "probe_void"]
        assert "is in none of checker.networks" in str(told["reason"])
        await bench.aclose()
