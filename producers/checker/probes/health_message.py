"""The two messages of `grpc.health.v1`, on the wire of gRPC."""

from producers.checker.probes.probe_failure import NoAnswerError

_PREFIX_BYTES = 5
"""Before each message: whether it is compressed, and its length."""

_SERVICE_FIELD = b"\x0a"
_STATUS_FIELD = 0x08
_STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def check_request(service: str) -> bytes:
    """Return `HealthCheckRequest` for *service*; "" asks for the whole server."""
    name = service.encode()
    message = _SERVICE_FIELD + _varint(len(name)) + name if name else b""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def serving_status(answer: bytes) -> str:
    """Return the status in `HealthCheckResponse`, in the words of the protocol.

    Raises:
        NoAnswerError: It is no such message.
    """
    size = int.from_bytes(answer[1:_PREFIX_BYTES], "big")
    message = answer[_PREFIX_BYTES:]
    if len(answer) < _PREFIX_BYTES or answer[0] or len(message) != size:
        raise NoAnswerError("no message of grpc.health.v1 in its answer")
    if not message:
        return _STATUSES[0]
    if len(message) < 2 or message[0] != _STATUS_FIELD or message[1] not in _STATUSES:
        raise NoAnswerError("no message of grpc.health.v1 in its answer")
    return _STATUSES[message[1]]


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
