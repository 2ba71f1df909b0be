"""The checker's networks hold for the address that is connected to, whatever its name resolves to.

Two servers listen at one port: one at an address that is allowed, one at an address that is not.
"""

import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from events.catalogue.health_check import HealthCheck, Tls
from events.catalogue.route import Protocol
from producers.checker.address_policy import EVERYWHERE, AddressPolicy
from producers.checker.probe import open_session, probe
from producers.checker.probe_result import ProbeCause
from producers.checker.probes.address import Address

NAME = "replica.test"
ALLOWED, REFUSED = "127.0.0.2", "127.0.0.1"
POLICY = AddressPolicy((*EVERYWHERE, f"{ALLOWED}/32"))

KINDS: dict[str, tuple[Protocol, HealthCheck]] = {
    "http": ("http", HealthCheck(path="/", max_wait_time=20)),
    "kept http": ("http", HealthCheck(path="/", keep_alive=True, max_wait_time=20)),
    "https": ("http", HealthCheck(path="/", tls=Tls(verify=False), max_wait_time=20)),
    "tcp": ("http", HealthCheck(kind="tcp", max_wait_time=20)),
    "tls": ("http", HealthCheck(kind="tcp", tls=Tls(verify=False), max_wait_time=20)),
    "grpc": ("http", HealthCheck(kind="grpc", max_wait_time=20)),
    "grpc over tls": ("http", HealthCheck(kind="grpc", tls=Tls(), max_wait_time=20)),
    "route without http": ("grpc", HealthCheck(path="/", max_wait_time=20)),
}


class Names:
    """What a name resolves to: each look-up the next answer, the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[Sequence[str]] = []
        self.asked = 0
        self._resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: Any, port: Any, *further: Any, **named: Any) -> list[Any]:  # noqa: ANN401 - as the system's
        if host not in {NAME, NAME.encode()}:
            return self._resolve(host, port, *further, **named)
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        found = []
        for address in answer:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            place = (address, port, 0, 0) if ":" in address else (address, port)
            found.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place))
        return found


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


class Place:
    """A port with a server at the allowed address, and a listener at the refused one."""

    def __init__(self, refused: socket.socket) -> None:
        self.port: int = refused.getsockname()[1]
        self.allowed_reached = 0
        self._refused = refused

    async def hang_up(self, stream: SocketStream) -> None:
        self.allowed_reached += 1
        await stream.aclose()

    @property
    def refused_reached(self) -> bool:
        """Whether anybody has connected to the refused address."""
        try:
            self._refused.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    async def cause(self, kind: str, host: str = NAME) -> ProbeCause | None:
        """Return why a probe of a checker that has just begun failed, None for a success."""
        protocol, check = KINDS[kind]
        async with open_session(POLICY) as session:
            return (await probe(session, Address(host, self.port, protocol), check)).cause


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with socket.create_server((REFUSED, 0)) as refused:
        refused.setblocking(False)  # noqa: FBT003 - its own interface
        made = Place(refused)
        listener = await anyio.create_tcp_listener(local_host=ALLOWED, local_port=made.port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, made.hang_up)
            yield made
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_address_is_not_reached_by_any_kind_of_check(
    names: Names, place: Place, kind: str
) -> None:
    names.answers = [[REFUSED]]
    for host in (NAME, REFUSED, f"::ffff:{REFUSED}"):
        assert await place.cause(kind, host) == "not_allowed"
    assert not place.refused_reached


@pytest.mark.parametrize("kind", KINDS)
async def test_of_several_addresses_only_those_that_are_allowed_are_tried(
    names: Names, place: Place, kind: str
) -> None:
    for answer in ([REFUSED, ALLOWED], [ALLOWED, REFUSED], ["::1", f"::ffff:{REFUSED}", ALLOWED]):
        names.answers, names.asked = [answer], 0
        reached = place.allowed_reached
        assert await place.cause(kind) != "not_allowed"
        assert place.allowed_reached > reached
    assert not place.refused_reached


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_that_changes_its_address_leads_nowhere_else(
    names: Names, place: Place, kind: str
) -> None:
    names.answers = [[ALLOWED], [REFUSED]]
    assert await place.cause(kind) != "not_allowed"
    assert names.asked == 1
    assert await place.cause(kind) == "not_allowed"
    assert not place.refused_reached
