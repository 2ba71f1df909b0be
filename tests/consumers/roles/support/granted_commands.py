"""Writes what each role is granted: runs every role, and notes what it needed.

`python -m tests.consumers.roles.support.granted_commands`; it takes about a quarter of a minute.
The ACL files are written after it by `make docs`.
"""

import json
from pathlib import Path

import anyio

from consumers.processes.embedded import embedded_server
from consumers.roles import role
from tests.consumers.roles.support.needed_commands import needed_commands


async def _needed() -> dict[str, list[str]]:
    with embedded_server() as server:
        return {
            name: sorted(await needed_commands(name, server, granted=False)) for name in role.ROLES
        }


if __name__ == "__main__":
    file = Path(role.__file__).parent / role.GRANTED
    file.write_text(json.dumps(anyio.run(_needed), indent=1) + "\n", "utf-8")
