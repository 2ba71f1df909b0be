"""Ports of loopback for servers that are stopped and started again on the same one."""

import fcntl
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import gettempdir

BLOCK = 16

_FIRST, _LAST = 4_096, 9_984
"""Below those that other servers of tests take, and that the system gives to connections."""


@contextmanager
def port_block() -> Iterator[range]:
    """Keep `BLOCK` ports in a row from other tests during the block; nobody listens on any."""
    starts = list(range(_FIRST, _LAST, BLOCK))
    random.shuffle(starts)
    for start in starts:
        ports = range(start, start + BLOCK)
        with (Path(gettempdir()) / f"routestream-ports-{start}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if _are_free(ports):
                yield ports
                return
    raise AssertionError(f"no {BLOCK} free ports in a row from {_FIRST} to {_LAST}")


def _are_free(ports: range) -> bool:
    with ExitStack() as stack:
        try:
            for port in ports:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
