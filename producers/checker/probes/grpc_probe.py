"""Probe a route over gRPC: ask `grpc.health.v1.Health/Check` whether it serves."""

from anyio.abc import ByteStream
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from events.catalogue.health_check import HealthCheck
from producers.checker.address_policy import AddressPolicy
from producers.checker.probe_result import ProbeResult
from producers.checker.probes.address import Address
from producers.checker.probes.health_message import check_request, serving_status
from producers.checker.probes.http_probe import Attempt
from producers.checker.probes.probe_failure import NoAnswerError, failure
from producers.checker.probes.route_connection import route_connection

ANSWER_BYTES_MAX = 65_536
"""Bytes that are read of an answer, with all that HTTP/2 has around it."""

_OK, _NOT_FOUND, _UNIMPLEMENTED = 0, 5, 12
"""Statuses of gRPC."""

_FIXED = {"te": "trailers", "content-type": "application/grpc"}
_CONFIGURATION = H2Configuration(client_side=True, header_encoding="utf-8")


async def grpc_probe(
    policy: AddressPolicy, address: Address, check: HealthCheck, attempt: Attempt
) -> ProbeResult:
    """Ask for the health of the check's service; each probe has a connection of its own.

    Raises:
        OSError: There is no connection.
        anyio.EndOfStream, anyio.BrokenResourceError: The connection ended before the answer.
        NoAnswerError: What it sent is no answer.
    """
    async with route_connection(policy, address, check, ("h2",)) as stream:
        attempt.connected = True
        answer = await _ask(stream, address, check)
    if answer.status == _UNIMPLEMENTED:
        return failure("protocol", "it has no grpc.health.v1.Health (gRPC status 12)")
    if answer.status == _NOT_FOUND:
        return failure("not_serving", f"it has no service {check.service!r} (gRPC status 5)")
    if answer.status != _OK:
        return failure("not_serving", f"gRPC status {answer.status}")
    serving = serving_status(bytes(answer.message))
    if serving == "SERVING":
        return ProbeResult(success=True)
    return failure("not_serving", f"gRPC health {serving}")


class _HealthAnswer:
    """What has come of the answer so far."""

    def __init__(self) -> None:
        self.message = bytearray()
        self.status: int | None = None
        self.has_ended = False

    def add(self, event: Event) -> None:
        """Take in one event of the connection.

        Raises:
            NoAnswerError: It is no answer of gRPC.
        """
        match event:
            case ResponseReceived() | TrailersReceived():
                self._read({str(name): str(value) for name, value in event.headers})
            case DataReceived():
                self.message += event.data
            case StreamEnded():
                self.has_ended = True
            case StreamReset():
                raise NoAnswerError(f"HTTP/2 error {event.error_code}")
            case ConnectionTerminated():
                raise NoAnswerError(f"HTTP/2 connection ended, error {event.error_code}")

    def _read(self, headers: dict[str, str]) -> None:
        http_status = headers.get(":status", "200")
        if http_status != "200":
            raise NoAnswerError(f"HTTP {http_status}, expected gRPC")
        status = headers.get("grpc-status")
        if status is not None:
            self.status = int(status) if status.isdecimal() else None


async def _ask(stream: ByteStream, address: Address, check: HealthCheck) -> _HealthAnswer:
    connection = H2Connection(_CONFIGURATION)
    connection.initiate_connection()
    stream_id = connection.get_next_available_stream_id()
    connection.send_headers(stream_id, _headers(address, check))
    connection.send_data(stream_id, check_request(check.service), end_stream=True)
    await stream.send(connection.data_to_send())
    answer, size = _HealthAnswer(), 0
    while not answer.has_ended:
        received = await stream.receive(4_096)
        if not size and received.startswith(b"HTTP/1"):
            raise NoAnswerError("it speaks HTTP/1.1, expected HTTP/2")
        size += len(received)
        if size > ANSWER_BYTES_MAX:
            raise NoAnswerError(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
        for event in _events_in(received, connection):
            if not answer.has_ended:  # what follows is about the connection
                answer.add(event)
        if outgoing := connection.data_to_send():
            await stream.send(outgoing)
    if answer.status is None:
        raise NoAnswerError("no gRPC status in its answer")
    return answer


def _events_in(received: bytes, connection: H2Connection) -> list[Event]:
    try:
        return connection.receive_data(received)
    except ProtocolError as error:
        raise NoAnswerError(f"no valid HTTP/2 ({type(error).__name__})") from None


def _headers(address: Address, check: HealthCheck) -> list[tuple[str, str]]:
    host = f"[{address.host}]" if ":" in address.host else address.host
    pseudo = [
        (":method", "POST"),
        (":scheme", "http" if check.tls is None else "https"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", check.host_header or f"{host}:{address.port}"),
    ]
    given = {name.lower(): value for name, value in check.headers.items()}
    return [*pseudo, *({"user-agent": "routestream"} | given | _FIXED).items()]
