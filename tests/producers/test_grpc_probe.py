"""Health checks of kind grpc, against the server of grpcio."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from aiohttp.test_utils import unused_port
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck, Tls
from producers.checker.address_policy import AddressPolicy
from producers.checker.probe import ProbeSession, open_session, probe
from producers.checker.probe_result import ProbeCause
from producers.checker.probes.address import Address
from producers.checker.settings import CheckerSettings
from tests.producers.support.certificates import Authority
from tests.producers.support.checker_ports import LOOPBACK, Bench, route_on
from tests.producers.support.grpc_health import HANG, HealthService, grpc_server
from tests.producers.test_probe import raw_server

CHECK = HealthCheck(kind="grpc", max_wait_time=20)
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


@pytest.fixture
async def session() -> AsyncIterator[ProbeSession]:
    async with open_session(LOOPBACK) as opened:
        yield opened


async def cause_at(session: ProbeSession, port: int, check: HealthCheck) -> ProbeCause | None:
    """Return why a probe failed, None where it did not."""
    result = await probe(session, Address("127.0.0.1", port, "grpc"), check)
    assert result.success == (result.cause is None)
    return result.cause


async def test_a_server_that_says_that_it_serves_is_a_success(session: ProbeSession) -> None:
    service = HealthService({"": SERVING, "a.B": SERVING})
    async with grpc_server(service) as port:
        assert await cause_at(session, port, CHECK) is None
        assert await cause_at(session, port, replace(CHECK, service="a.B")) is None
    assert [name for name, _ in service.asked] == ["", "a.B"]


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("out", "gRPC health NOT_SERVING"),
        ("new", "gRPC health UNKNOWN"),
        ("none", "it has no service 'none' (gRPC status 5)"),
    ],
)
async def test_anything_else_that_it_says_is_named(
    session: ProbeSession, service: str, reason: str
) -> None:
    async with grpc_server(HealthService({"out": NOT_SERVING, "new": b""})) as port:
        address = Address("127.0.0.1", port, "grpc")
        result = await probe(session, address, replace(CHECK, service=service))
    assert (result.cause, result.reason) == ("not_serving", reason)


async def test_metadata_and_host_are_sent_as_given(session: ProbeSession) -> None:
    service = HealthService({"": SERVING})
    async with grpc_server(service) as port:
        check = replace(CHECK, headers={"X-Tenant": "a", "User-Agent": "ours"})
        assert await cause_at(session, port, check) is None
    [(_, metadata)] = service.asked
    assert metadata["x-tenant"] == "a"
    assert metadata["user-agent"] == "ours"


async def test_a_server_without_the_health_service_breaks_the_protocol(
    session: ProbeSession,
) -> None:
    async with grpc_server(None) as port:
        result = await probe(session, Address("127.0.0.1", port, "grpc"), CHECK)
    assert (result.cause, result.reason) == (
        "protocol",
        "it has no grpc.health.v1.Health (gRPC status 12)",
    )


async def test_a_server_that_hangs_gives_no_answer_in_time(session: ProbeSession) -> None:
    async with grpc_server(HealthService({"": HANG})) as port:
        check = replace(CHECK, max_wait_time=0.3)
        assert await cause_at(session, port, check) == "answer_timeout"


@pytest.mark.parametrize("message", [b"\x10\x01", b"\x08\x09", b"\x08", b"x" * 70_000])
async def test_a_message_of_another_kind_breaks_the_protocol(
    session: ProbeSession, message: bytes
) -> None:
    async with grpc_server(HealthService({"": message})) as port:
        assert await cause_at(session, port, CHECK) == "protocol"


async def test_a_server_of_another_protocol_is_told_apart(session: ProbeSession) -> None:
    async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert await cause_at(session, port, CHECK) == "protocol"
    async with raw_server(b"") as port:
        assert await cause_at(session, port, CHECK) == "reset"
    assert await cause_at(session, unused_port(), CHECK) == "refused"


async def test_over_tls_the_certificate_is_verified(session: ProbeSession, tmp_path: Path) -> None:
    authority = Authority()
    key, file = authority.server_files(tmp_path, "127.0.0.1")
    pair = (await anyio.Path(key).read_bytes(), await anyio.Path(file).read_bytes())
    async with grpc_server(HealthService({"": SERVING}), pair) as port:
        for tls, cause in (
            (Tls(ca=authority.pem), None),
            (Tls(verify=False), None),
            (Tls(), "tls"),
            (Tls(ca=Authority().pem), "tls"),
            (None, "reset"),
        ):
            assert await cause_at(session, port, replace(CHECK, tls=tls)) == cause


async def test_nothing_is_sent_to_an_address_that_is_not_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        port = listener.getsockname()[1]
        async with open_session(AddressPolicy(CheckerSettings().networks)) as session:
            for check in (CHECK, HealthCheck(kind="tcp"), replace(CHECK, tls=Tls())):
                assert await cause_at(session, port, check) == "not_allowed"
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_a_checker_records_what_a_route_says_of_itself_over_grpc(
    session: ProbeSession,
) -> None:
    answers = {"": SERVING}
    async with grpc_server(HealthService(answers)) as port:
        bench = Bench(session)
        check = replace(CHECK, interval=0.01, max_retries=2, initial_delay=0)
        bench.table.put(route_on(port), check=check)
        async with bench.checker():
            await bench.records.kept_count.until(1)
            answers[""] = NOT_SERVING
            await bench.records.kept_count.until(2)
        await bench.aclose()
    assert bench.records.statuses == ["healthy", "unhealthy"]
    assert bench.records.reasons[1][0] == "gRPC health NOT_SERVING"
