"""What each role needs: what a run of it sent, and what the code that belongs to it may send."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import redis

from consumers.processes.embedded import EmbeddedServer
from consumers.roles.role import CONNECTING, OF_CLUSTER, ROLES, user_line
from tests.consumers.roles.support.role_runs import (
    RUNS,
    Account,
    Run,
    consume,
    model_server,
    set_up,
)
from tests.support.called_commands import SCRIPT_PLACES, commands_at, commands_of_script
from tests.support.script_calls import call_of

OURS = ("events/", "projections/", "producers/", "consumers/")
WITHHELD = frozenset({"acl|dryrun", "config|get", "scan"})
"""What no role has, for it tells of other accounts, of passwords, and of others' keys.

The doctor goes on without the first two; the last is for `streams ls --all`.
"""

UNASKED = frozenset({"auth", "hello"})
"""What Redis lets everybody send."""

OF_OTHER_SERVERS = (
    *("consumers/backend_ai/", "consumers/publishers/backend_ai/", "consumers/publishers/traefik/"),
    *("consumers/cli/demo/", "consumers/processes/appproxy/", "events/server/"),
)
"""What is sent to other servers than the log's, or by every role while it connects."""

FOLLOWING = (
    *("projections/read_model/follower.py", "projections/read_model/change_feed.py"),
    *("projections/read_model/store.py", "projections/health_state/followed_ages.py"),
    *("projections/health_state/probe_times.py", "projections/requests/request_counts.py"),
)
"""What follows the tables."""

RARE: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "producer": ("events/log/append.py",),
        "consumer": (
            *("consumers/runtime/", "consumers/handlers/", "consumers/processes/"),
            "consumers/membership/",
            *("consumers/monitoring/", "projections/read_model/", "events/log/"),
            *("events/streams/lag.py", "events/streams/stream_", "producers/endpoints/"),
            "events/retention/lua/note_snapshot.lua",
        ),
        "reader": ("consumers/cli/top/", *FOLLOWING),
        "checker": ("producers/checker/", "consumers/processes/", *FOLLOWING),
        "publisher": (
            *("consumers/publishers/", "consumers/processes/", "projections/requests/"),
            *FOLLOWING,
        ),
        "keeper": (
            *("producers/life_cycle/", "producers/rollout/", "events/retention/"),
            *("consumers/processes/", "projections/read_model/lua/forget.lua", *FOLLOWING),
        ),
        "operator": OURS,
    }
)
"""Code of a role of which a run shows but a part: all that it may call is granted."""


async def needed_commands(role: str, server: EmbeddedServer, *, granted: bool) -> set[str]:
    """Run *role*, and return what it needs: what it sent, and what its code may send.

    With *granted* it has the commands of its role; else all commands, on the role's keys.
    """
    needed = commands_at(*RARE[role], besides=OF_OTHER_SERVERS)
    for roles, run in RUNS[role]:
        sent = await _sent(roles, run, server, granted=granted)
        others = [ROLES[other].commands for other in roles if other != role]
        needed |= sent.difference(*others)
    return (needed & _known(server)) - WITHHELD - UNASKED - {*CONNECTING, *OF_CLUSTER}


async def _sent(
    roles: Sequence[str], run: Run, server: EmbeddedServer, *, granted: bool
) -> set[str]:
    """Return what a run of *roles* sent, with all that the scripts which it ran may call."""
    namespace = f"roles-{uuid4().hex[:8]}"
    rights = user_line(roles, namespace, "somebody").split()[1:]
    if not granted:
        patterns = [word.strip("()") for word in rights if word.strip("(")[0] in "~%"]
        rights = ["somebody", "on", *patterns, "+@all", *(f"-{one}" for one in WITHHELD)]
    with TemporaryDirectory() as folder, redis.Redis(port=server.port) as opened:
        client: Any = opened
        async with model_server() as port:
            await set_up(server.url, namespace, port, tables=run is not consume)
            client.execute_command("ACL SETUSER", *rights, ">secret")
            client.execute_command("SCRIPT FLUSH")
            client.execute_command("CONFIG RESETSTAT")
            url = server.url.replace("redis://", "redis://somebody:secret@")
            await run(Account(url, namespace, Path(folder)))
        stats = client.info("commandstats")
        digests = [call_of(package, name) for _, package, name in SCRIPT_PLACES]
        ran = client.execute_command("SCRIPT EXISTS", *digests)
        client.execute_command("ACL DELUSER", "somebody")
    sent = {name.removeprefix("cmdstat_") for name in stats} - {"config|resetstat"}
    called = [
        commands_of_script(package, name)
        for (_, package, name), is_known in zip(SCRIPT_PLACES, ran, strict=True)
        if is_known
    ]
    return sent.union(*called)


def _known(server: EmbeddedServer) -> set[str]:
    with redis.Redis(port=server.port) as opened:
        client: Any = opened
        return {name.decode() for name in client.execute_command("COMMAND LIST")}
