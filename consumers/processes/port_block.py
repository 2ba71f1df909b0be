"""Takes ports of loopback in a row, for servers that are stopped and started on the same one."""

import errno
import fcntl
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import gettempdir

BLOCK = 16

_FIRST, _LAST = 4_096, 9_984
"""Below those that other servers of ours take, and that the system gives to connections."""


@contextmanager
def port_block() -> Iterator[range]:
    """Keep `BLOCK` ports in a row from other such blocks; nobody listens on any.

    Raises:
        OSError: There are none.
    """
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
    why = f"no {BLOCK} free ports in a row from {_FIRST} to {_LAST}"
    raise OSError(errno.EADDRINUSE, why)


def _are_free(ports: range) -> bool:
    with ExitStack() as stack:
        try:
            for port in ports:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
