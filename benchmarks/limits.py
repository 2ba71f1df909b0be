"""The limits: what the server takes of pipelined XADDs when the client costs next to nothing."""

import re
import shutil
import socket
from contextlib import closing
from time import perf_counter
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from benchmarks.peers.status_event import payloads
from benchmarks.program import FailedProgramError, Figures

PIPELINED = 100
_CLIENTS = 4
_RECEIVED_BYTES = 1 << 16


async def server_adds(url: str, count: int) -> dict[str, Figures]:
    """Return pipelined XADDs a second: of `redis-benchmark`, else of a socket that we write to."""
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        return {"raw socket": await anyio.to_thread.run_sync(_by_socket, url, count)}
    at = urlsplit(url)
    [payload] = payloads(1)
    done = await anyio.run_process(
        [
            *(program, "-h", str(at.hostname), "-p", str(at.port), "-q", "-n", str(count)),
            *("-c", str(_CLIENTS), "-P", str(PIPELINED)),
            *("XADD", "bench", "*", "name", "model_service_status_updated", "payload", payload),
        ]
    )
    rates = re.findall(rb"([\d.]+) requests per second", done.stdout)
    if not rates:
        raise FailedProgramError("redis-benchmark printed no rate")
    return {"redis-benchmark": {"per_second": float(rates[-1])}}


def _by_socket(url: str, count: int) -> Figures:
    """Write commands that were encoded before, and count the replies."""
    at = urlsplit(url)
    [payload] = payloads(1)
    words = (b"XADD", b"bench", b"*", b"name", b"model_service_status_updated", b"payload", payload)
    command = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
    with closing(socket.create_connection((at.hostname, at.port or 6379))) as connection:
        began_at = perf_counter()
        for _ in range(0, count, PIPELINED):
            connection.sendall(command * PIPELINED)
            left = PIPELINED * 2  # a reply has two line ends
            while left:
                left -= connection.recv(_RECEIVED_BYTES).count(b"\n")
        return {"per_second": count / (perf_counter() - began_at)}
