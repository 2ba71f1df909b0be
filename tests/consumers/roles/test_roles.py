"""Each role is enough for its programs and their commands, and for nothing else."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from consumers.cli.acl import acl
from consumers.processes.embedded import EmbeddedServer, embedded_server
from consumers.roles.role import ROLES, user_line
from events import EventLog, open_log
from events.errors import InvalidNamespaceError, ServerRefusedError
from events.log.keys import Keys
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.roles.support.needed_commands import WITHHELD, needed_commands
from tests.consumers.support.commands import Commands
from tests.support.cluster_servers import ClusterServers
from tests.support.running_consumer import created
from tests.support.server_set import ask
from tests.test_architecture import ROOT

KEYS = Keys("mine")
EVENTS, HEADS = KEYS.events(0), KEYS.heads(0)
DOCUMENTS = KEYS.documents(0, ROUTE_TABLE.read_model, 1)
OTHERS = (
    *(Keys("other").events(0), Keys("other").layout, Keys("mine2").events(0), "anything"),
    *("{mine:x}:events", "mine", "mine:other", Keys("mine:sub").layout),
)
DANGEROUS = (
    *("FLUSHALL", "FLUSHDB", "SHUTDOWN", "DEBUG JMAP", "KEYS *", "SCAN 0", "SAVE", "MONITOR"),
    *("CONFIG GET requirepass", "CONFIG SET appendonly no", "ACL LIST", "ACL SETUSER x"),
    *("SCRIPT FLUSH", "FUNCTION FLUSH", "REPLICAOF NO ONE", "MODULE LIST", "CLUSTER RESET"),
    *("CLIENT KILL TYPE normal", "PUBLISH any word", "SUBSCRIBE any", "SWAPDB 0 1", "SYNC"),
)
WRITES = ("XADD {} * a b", "XTRIM {} MINID 1-1", "DEL {}", "HSET {} a b", "SET {} a", "XDEL {} 1-1")
MAY_NOT = {
    "producer": (
        *(f"HGET {DOCUMENTS} a", f"HSET {DOCUMENTS} a b", f"SET {KEYS.live(0, 'route-table')} 1"),
        *(f"XTRIM {EVENTS} MINID 1-1", f"DEL {EVENTS}", f"UNLINK {HEADS}", f"XDEL {EVENTS} 1-1"),
        *(f"XREADGROUP GROUP g c STREAMS {EVENTS} >", f"XGROUP DESTROY {EVENTS} g"),
        *(f"HSET {KEYS.layout} partitions 2", f"HSET {KEYS.identity(0)} identity x"),
    ),
    "consumer": (
        *(f"XTRIM {EVENTS} MINID 1-1", f"XDEL {EVENTS} 1-1", f"XGROUP DESTROY {EVENTS} g"),
        *(f"HSET {KEYS.proxies} a b", f"ZADD {KEYS.checkers} 1 a"),
    ),
    "reader": tuple(
        write.format(key)
        for write in (*WRITES, "EVAL 1 1 {}", "XGROUP DESTROY {} g", "EXPIRE {} 1")
        for key in (EVENTS, DOCUMENTS, KEYS.layout)
    ),
    "checker": (
        *(f"HSET {DOCUMENTS} a b", f"DEL {EVENTS}", f"XTRIM {EVENTS} MINID 1-1"),
        *(f"HSET {KEYS.layout} partitions 2", f"HSET {KEYS.proxies} a b"),
    ),
    "publisher": (
        *(write.format(key) for write in WRITES for key in (EVENTS, DOCUMENTS, KEYS.layout)),
    ),
    "keeper": (f"DEL {EVENTS}", f"XGROUP DESTROY {EVENTS} g", f"HSET {KEYS.layout} partitions 2"),
    "operator": (),
}
MAY = {
    "producer": (f"XADD {EVENTS} * a b", f"EVALSHA x 3 {' '.join(KEYS.of_append(0))}"),
    "consumer": (f"HSET {DOCUMENTS} a b", f"XACK {EVENTS} g 1-1"),
    "reader": (f"HGET {DOCUMENTS} a", f"XREAD STREAMS {EVENTS} {Keys('mine').events(7)} 0 0"),
    "checker": (f"XADD {EVENTS} * a b", f"ZADD {KEYS.checkers} 1 a"),
    "publisher": (f"HSET {KEYS.proxies} a b", f"HGET {DOCUMENTS} a"),
    "keeper": (f"XTRIM {EVENTS} MINID 1-1", f"XADD {EVENTS} * a b"),
    "operator": (f"XGROUP DESTROY {EVENTS} g", f"DEL {DOCUMENTS}", f"XTRIM {EVENTS} MINID 1-1"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server that counts what it is sent: nobody else uses it."""
    with embedded_server() as server:
        yield server


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_has_what_its_programs_and_commands_need_and_no_more(
    server: EmbeddedServer, role: str
) -> None:
    needed = await needed_commands(role, server, granted=True)
    assert needed == {*ROLES[role].commands}, (
        "the code calls other commands than the role has; if that is right,"
        " `python -m tests.consumers.roles.support.granted_commands` and"
        " `make docs` write them anew"
    )
    assert needed.isdisjoint(WITHHELD)


@pytest.fixture(scope="module")
def accounts(shared_server: EmbeddedServer) -> Iterator[Any]:
    """A client of a server with an account for each role, which has the role's name."""
    with closing(redis.Redis(port=shared_server.port, decode_responses=True)) as opened:
        client: Any = opened
        for role in ROLES:
            client.execute_command("ACL SETUSER", *user_line([role], "mine", role).split()[1:])
        yield client
        client.execute_command("ACL DELUSER", *ROLES)


def refused(accounts: Any, role: str, command: str) -> bool:  # noqa: ANN401 - redis-py's
    answer: str = accounts.execute_command("ACL DRYRUN", role, *command.split())
    return "no permissions" in answer.lower()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_refused_what_it_is_not_for(accounts: Any, role: str) -> None:  # noqa: ANN401
    elsewhere = [write.format(key) for key in OTHERS for write in (*WRITES, "HGET {} a")]
    elsewhere += [f"EVAL 1 1 {key}" for key in OTHERS]
    elsewhere += [f"XREAD STREAMS {EVENTS} {key} 0 0" for key in OTHERS]
    allowed = [
        command
        for command in (*DANGEROUS, *elsewhere, *MAY_NOT[role])
        if not refused(accounts, role, command)
    ]
    assert allowed == []
    assert [command for command in MAY[role] if refused(accounts, role, command)] == []


def test_roles_of_one_account_do_not_widen_one_another(accounts: Any) -> None:  # noqa: ANN401
    line = user_line(["producer", "reader"], "mine", "both").split()[1:]
    accounts.execute_command("ACL SETUSER", *line)
    try:
        assert not refused(accounts, "both", f"HGET {DOCUMENTS} a")
        assert not refused(accounts, "both", f"XADD {EVENTS} * a b")
        assert refused(accounts, "both", f"HSET {DOCUMENTS} a b")
        assert refused(accounts, "both", f"EVAL 1 1 {DOCUMENTS}")
    finally:
        accounts.execute_command("ACL DELUSER", "both")


@pytest.mark.parametrize("role", ROLES)
def test_the_ready_made_file_of_a_role_is_what_the_command_prints(role: str) -> None:
    kept = (ROOT / "deploy" / "acl" / f"{role}.acl").read_text()
    assert kept == user_line([role]) + "\n"


def test_a_server_takes_the_ready_made_files_and_an_account_comes_in_by_its_password(
    tmp_path: Path,
) -> None:
    file, password = tmp_path / "users.acl", uuid4().hex
    ready_made = "".join(path.read_text() for path in (ROOT / "deploy" / "acl").glob("*.acl"))
    default = "user default on nopass ~* &* +@all\n"
    file.write_text(default + ready_made)
    with embedded_server("--aclfile", str(file)) as server:
        url = f"redis://routestream-reader:{password}@127.0.0.1:{server.port}"
        with pytest.raises(redis.AuthenticationError):
            whoami(url)
        file.write_text(f"{default}{user_line(['reader'], password=password)}\n")
        assert password not in file.read_text()
        with closing(redis.Redis(port=server.port)) as client:
            client.acl_load()
        assert whoami(url) == "routestream-reader"


def whoami(url: str) -> object:
    with closing(redis.Redis.from_url(url)) as client:
        return client.acl_whoami()


async def test_the_command_prints_the_line_of_an_account(redis_url: str, tmp_path: Path) -> None:
    commands = Commands(redis_url, "mine")
    [line] = await commands.lines(acl, "producer", "reader", "--user", "manager")
    assert line == user_line(["producer", "reader"], "mine", "manager")
    file = tmp_path / "password"
    file.write_text("very secret\n")
    [line] = await commands.lines(acl, "reader", "--password-file", str(file))
    assert line == user_line(["reader"], "mine", password="very secret")  # noqa: S106
    assert "very secret" not in line
    for wrong in (("cook",), (), ("reader", "--user", "a b"), ("reader", "reader")):
        assert (await commands(acl, *wrong)).exit_code == 2


async def test_accounts_that_every_node_of_a_cluster_has_find_the_node_of_each_key(
    cluster: ClusterServers,
) -> None:
    namespace = f"roles-{uuid4().hex[:8]}"
    nodes = cluster.servers
    for role in ("producer", "reader", "operator"):
        line = user_line([role], namespace, role, password="secret").split()[1:]  # noqa: S106
        for node in nodes:
            await ask(node, "ACL SETUSER", *line)

    def log_of(role: str) -> AbstractAsyncContextManager[EventLog]:
        url = f"cluster://{role}:secret@127.0.0.1:{nodes[0].port}"
        return open_log(url, namespace=namespace, partitions=12)

    async with log_of("operator"), log_of("producer") as log:
        for _ in range(24):
            await log.append(created())
    async with log_of("reader") as log:
        assert len([recorded async for recorded in log.read()]) == 24
        with pytest.raises(ServerRefusedError, match="no permission"):
            await log.append(created())
    for node in nodes:
        await ask(node, "ACL DELUSER", "producer", "reader", "operator")


def test_a_namespace_that_is_none_has_no_account() -> None:
    with pytest.raises(InvalidNamespaceError):
        user_line(["reader"], "*")
