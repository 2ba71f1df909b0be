"""A real gRPC server that answers `grpc.health.v1`, in words of its own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import grpc

HANG = b"hang"
"""An answer that never comes."""


class HealthService(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers with the bytes of a message for each service, and remembers who asked how."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != "/grpc.health.v1.Health/Check":
            return None
        return grpc.unary_unary_rpc_method_handler(self._check)

    async def _check(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        name = request[2:].decode()  # one field, shorter than 128 bytes
        self.asked.append((name, {one.key: one.value for one in context.invocation_metadata()}))
        if name not in self._answers:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        if self._answers[name] == HANG:
            await anyio.sleep_forever()
        return self._answers[name]


@asynccontextmanager
async def grpc_server(
    handler: HealthService | None, certificate: tuple[bytes, bytes] | None = None
) -> AsyncIterator[int]:
    """Serve at a port of 127.0.0.1, over TLS with a key and *certificate* if there is one."""
    server = grpc.aio.server()
    if handler is not None:
        server.add_generic_rpc_handlers((handler,))
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([certificate]))
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
