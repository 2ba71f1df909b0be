"""What the doctor finds on servers that were really broken, each in one way."""

from collections.abc import Iterator
from datetime import timedelta
from os import urandom
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from consumers.processes.embedded import EmbeddedServer, embedded_server
from events.errors import ServerRefusedError, ServerUnavailableError
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.consumers.support.examination import examined, found, not_well
from tests.support.clock import Clock, server_with
from tests.support.disk import mounted
from tests.support.waiting import wait_until

NO_LOG = {"layout": "warning"}


@pytest.fixture(scope="module")
def broken() -> Iterator[EmbeddedServer]:
    """A server for all tests here that put back what they broke."""
    with embedded_server() as server:
        yield server


async def call(url: str, *command: Any) -> Any:  # noqa: ANN401 - Redis's
    server = Server(ServerSettings(url=url))
    try:
        return await server.client.call(*command)
    finally:
        await server.aclose()


async def test_a_sound_server_has_nothing_wrong(broken: EmbeddedServer) -> None:
    findings = await examined(broken.url)
    assert not_well(findings) == NO_LOG
    told = {one.about: one.figure for one in findings}
    assert told["append-only file"] == "appendfsync everysec"
    assert told["eviction"] == "noeviction"
    assert told["role"] == "0 replicas"
    assert found(findings, "rights").what == "user default may run all that is needed"


@pytest.mark.parametrize(
    ("setting", "wrong", "right", "about", "severity"),
    [
        ("appendonly", "no", "yes", "append-only file", "error"),
        ("appendfsync", "no", "everysec", "append-only file", "warning"),
        ("maxmemory-policy", "allkeys-lru", "noeviction", "eviction", "error"),
        ("maxmemory-policy", "volatile-ttl", "noeviction", "eviction", "warning"),
    ],
)
async def test_a_setting_that_puts_events_at_risk_is_found_with_the_command_that_mends_it(
    broken: EmbeddedServer, *, setting: str, wrong: str, right: str, about: str, severity: str
) -> None:
    await call(broken.url, "CONFIG SET", setting, wrong)
    findings = await examined(broken.url)
    await call(broken.url, "CONFIG SET", setting, right)
    assert not_well(findings) == {about: severity, **NO_LOG}
    finding = found(findings, about)
    assert wrong in finding.figure
    assert finding.to_do.startswith(f"redis-cli CONFIG SET {setting} {right}")


@pytest.mark.parametrize(("part", "severity"), [(0.97, "error"), (0.85, "warning")])
async def test_memory_that_is_nearly_full_is_found(
    broken: EmbeddedServer, part: float, severity: str
) -> None:
    used = (await call(broken.url, "INFO", "memory"))["used_memory"]
    await call(broken.url, "CONFIG SET", "maxmemory", int(used / part))
    findings = await examined(broken.url)
    await call(broken.url, "CONFIG SET", "maxmemory", 0)
    assert not_well(findings) == {"memory": severity, **NO_LOG}


async def test_a_replica_without_its_master_is_found(own_server: EmbeddedServer) -> None:
    await call(own_server.url, "REPLICAOF", "127.0.0.1", "1")
    findings = await examined(own_server.url)
    assert not_well(findings) == {"role": "error", "link to the master": "error", **NO_LOG}
    assert found(findings, "role").figure == "replica of 127.0.0.1:1"


async def test_a_replica_that_tells_nothing_without_its_master_is_no_crash(
    own_server: EmbeddedServer,
) -> None:
    await call(own_server.url, "CONFIG SET", "replica-serve-stale-data", "no")
    await call(own_server.url, "REPLICAOF", "127.0.0.1", "1")
    findings = await examined(own_server.url)
    assert found(findings, "link to the master").severity == "error"
    assert "Link with MASTER is down" in found(findings, "refused HGET").what
    assert "layout" not in not_well(findings)


async def test_a_replica_that_keeps_up_is_no_finding_of_its_master(
    own_server: EmbeddedServer, broken: EmbeddedServer
) -> None:
    await follow(own_server, broken)
    own_server.kill()


async def follow(replica: EmbeddedServer, master: EmbeddedServer) -> None:
    await call(master.url, "CONFIG SET", "repl-diskless-sync-delay", 0)
    await call(replica.url, "REPLICAOF", "127.0.0.1", str(master.port))

    async def is_online() -> bool:
        findings = await examined(master.url)
        return found(findings, "role").figure == "1 replicas" and not_well(findings) == NO_LOG

    await wait_until(is_online, "the replica is online")


async def test_a_save_that_failed_is_found_and_that_writes_are_refused_for_it(
    own_server: EmbeddedServer,
) -> None:
    (own_server.folder / "dump.rdb" / "in the way").mkdir(parents=True)
    await call(own_server.url, "CONFIG SET", "save", "3600 1")
    await call(own_server.url, "BGSAVE")

    async def has_failed() -> bool:
        told = await call(own_server.url, "INFO", "persistence")
        return bool(told["rdb_last_bgsave_status"] != "ok")

    await wait_until(has_failed, "the save has failed")
    with pytest.raises(ServerUnavailableError, match="MISCONF"):
        await call(own_server.url, "SET", "key", "value")
    finding = found(await examined(own_server.url), "last save")
    assert finding.severity == "error"
    assert "MISCONF" in finding.what
    own_server.kill()


async def test_a_replica_that_was_not_heard_of_for_long_is_found_by_its_master(
    own_server: EmbeddedServer, broken: EmbeddedServer
) -> None:
    await follow(own_server, broken)
    name = f"replica 127.0.0.1:{own_server.port}"

    async def is_lagging() -> bool:
        return not_well(await examined(broken.url)).get(name) == "warning"

    own_server.pause()
    await wait_until(is_lagging, "it was not heard of for 10 s", timeout_s=40)
    finding = found(await examined(broken.url), name)
    assert finding.figure.startswith("online, 1")
    assert finding.figure.endswith(" s without a sign")
    own_server.kill()


async def test_an_append_only_file_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "4m") as folder:
        server = EmbeddedServer(folder)
        server.start()
        try:
            (folder / "ballast").write_bytes(bytes(3_900_000))

            async def is_refused() -> bool:
                try:
                    await call(server.url, "SET", "key", urandom(20_000))
                except ServerUnavailableError as error:
                    return "MISCONF" in str(error)
                return False

            await wait_until(is_refused, "writes are refused for the full disk")
            finding = found(await examined(server.url), "append-only file")
            assert (finding.severity, finding.figure) == ("error", "err")
            assert finding.to_do == "make room on the server's disk"
            (folder / "ballast").unlink()

            async def is_well() -> bool:
                return found(await examined(server.url), "append-only file").severity == "ok"

            await wait_until(is_well, "the file is written again")
        finally:
            server.kill()


@pytest.mark.parametrize(("by_s", "severity"), [(-10, "warning"), (-3_600, "error")])
async def test_a_clock_that_is_not_ours_is_found(tmp_path: Path, by_s: int, severity: str) -> None:
    clock = Clock(tmp_path / "clock")
    with server_with(clock) as server:
        assert found(await examined(server.url), "clock").severity == "ok"
        clock.set_back(timedelta(seconds=-by_s))
        finding = found(await examined(server.url), "clock")
    assert finding.severity == severity
    assert "behind this machine's" in finding.what


async def test_a_server_that_is_still_loading_says_so(tmp_path: Path) -> None:
    slow = ("--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024")
    server = EmbeddedServer(tmp_path, *slow)
    server.start()
    for number in range(15):
        await call(server.url, "SET", f"key-{number}", urandom(2_000))
    await call(server.url, "BGREWRITEAOF")

    async def is_rewritten() -> bool:
        told = await call(server.url, "INFO", "persistence")
        return not (told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])

    await wait_until(is_rewritten, "the append-only file is rewritten")
    server.kill()
    starting = Thread(target=server.start)
    starting.start()
    try:

        async def is_found() -> bool:
            try:
                findings = await examined(server.url)
            except ServerUnavailableError:
                return False
            return not_well(findings).get("loading") == "error"

        await wait_until(is_found, "it is found to be loading")
    finally:
        starting.join(30)
        server.stop()


READS = ("+@read", "+@connection", "+info", "+time", "+config|get", "+acl|whoami", "+acl|dryrun")


async def set_user(url: str, name: str, *rules: str) -> str:
    await call(url, "ACL SETUSER", name, "reset", "on", ">secret", "~*", *rules)
    return url.replace("redis://", f"redis://{name}:secret@")


async def test_a_user_without_rights_is_found_by_itself_and_by_others(
    broken: EmbeddedServer,
) -> None:
    url = await set_user(broken.url, "reader", *READS)
    for findings in (await examined(url), await examined(broken.url, user="reader")):
        finding = found(findings, "rights")
        assert finding.severity == "error"
        for command in ("xadd", "xreadgroup", "hset", "evalsha"):
            assert command in finding.what
        assert "xrange" not in finding.what
        assert not_well(findings) == {"rights": "error", **NO_LOG}


async def test_every_command_that_is_refused_is_a_finding(broken: EmbeddedServer) -> None:
    url = await set_user(broken.url, "stranger", "+@connection", "+time")
    findings = await examined(url)
    refused = {one.about for one in findings if one.about.startswith("refused ")}
    assert refused == {
        *("refused ACL WHOAMI", "refused INFO", "refused CONFIG GET", "refused HGET"),
        *("refused HGETALL", "refused HRANDFIELD", "refused XREVRANGE", "refused TYPE"),
        "refused ZREVRANGE",
    }
    assert found(findings, "refused CONFIG GET").to_do == "ACL SETUSER stranger +config|get"


async def test_an_account_without_the_keys_is_told_to_be_given_them_not_a_command(
    broken: EmbeddedServer,
) -> None:
    url = await set_user(broken.url, "keyless", *READS, "resetkeys", "~other:*")
    finding = found(await examined(url, "own"), "refused HGET")
    assert finding.to_do == "ACL SETUSER keyless ~own:* ~{own:*"


async def test_an_account_that_sees_nothing_of_the_log_is_an_error(broken: EmbeddedServer) -> None:
    keyless = await set_user(broken.url, "keyless", *READS, "resetkeys", "~other:*")
    mute = await set_user(broken.url, "stranger", "+@connection", "+time")
    for url in (keyless, mute):
        finding = found(await examined(url, "own"), "layout")
        assert finding.severity == "error"
        assert finding.what.startswith("nothing of the log 'own' can be seen")


async def test_a_user_that_may_not_name_its_connection_is_told_only_what_else_it_lacks(
    broken: EmbeddedServer,
) -> None:
    url = await set_user(broken.url, "mute", "+@read")
    findings = await examined(url)
    assert found(findings, "refused INFO").to_do == "ACL SETUSER mute +info"


async def test_a_wrong_password_and_a_server_that_is_not_there_are_errors(
    broken: EmbeddedServer,
) -> None:
    with pytest.raises(ServerRefusedError):
        await examined(broken.url.replace("redis://", "redis://reader:wrong@"))
    with pytest.raises(ServerUnavailableError):
        await examined("redis://127.0.0.1:1")
