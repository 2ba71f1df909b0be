"""Where a process listens, as the system tells it."""

import socket
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"


def listening_hosts(pid: int) -> set[str]:
    """Return the addresses on which the process *pid* takes TCP connections."""
    links = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.add(file.readlink().name)
    hosts = set()
    for family, name in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *others = line.split()
            if state == _LISTEN and f"socket:[{others[5]}]" in links:
                words = bytes.fromhex(local.partition(":")[0])
                packed = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
                hosts.add(socket.inet_ntop(family, packed))
    return hosts
