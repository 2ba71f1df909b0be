"""`log create`, and `log accept-loss`: the one way on where history is gone for good."""

from collections.abc import AsyncIterator

import anyio
import pytest

from consumers.cli.doctor.check import check
from consumers.cli.doctor.doctor import doctor
from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.groups.groups import groups
from consumers.cli.log.log import log as log_commands
from consumers.cli.replay.rebuild import replay
from consumers.processes.embedded import EmbeddedServer
from events import START, EventLog, open_log
from events.errors import LayoutError
from events.log.keys import Keys
from events.log.layout import create_layout, read_layout
from events.log.partition_identity import read_partition_identity
from events.server.reply import reply
from events.server.server import open_server
from events.server.settings import ServerSettings
from projections.errors import WAY_OUT
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.support.cluster_servers import ClusterServers
from tests.support.histories import E, created, listed, record
from tests.support.projectors import member
from tests.support.read_model import live_documents
from tests.support.running_consumer import consuming, fill, states, until_settled
from tests.support.waiting import wait_until

GROUP = ROUTE_TABLE.read_model
ACCEPT = ("accept-loss", "--yes")


@pytest.fixture
async def waiting(log: EventLog) -> AsyncIterator[EventLog]:
    """A log that was cut by hand, whose read model is gone, and whose projector waits."""
    await log.append(created(), listed(record()))
    async with consuming(member(log, ROUTE_TABLE)):
        await until_settled(log, GROUP)
        await log.server.client.call("XTRIM", log.keys.events(0), "MAXLEN", 1)
        documents = await live_documents(log, GROUP)
        await log.server.client.call("DEL", log.keys.live(0, GROUP), documents)

        async def is_said() -> bool:
            held = await read_partition_identity(log.server.client.call, log.keys, 0)
            return GROUP in held.missing

        await wait_until(is_said, "the projector waits")
        yield log


async def test_all_commands_tell_one_cause_and_one_way_out(
    waiting: EventLog, run: Commands
) -> None:
    cause = "entries after 0-0 were deleted"
    told = [
        (await run(doctor)).stdout.replace("\n", " "),
        str((await run(endpoints, "ls")).exception),
        str((await run(endpoints, "show", str(E))).exception),
        str((await run(replay, "rebuild", GROUP, "--yes")).exception),
    ]
    for said in told:
        assert "history missing: " in said
        assert cause in said
        assert WAY_OUT in said
        assert "consume route-table" not in said
    checked = await run(check)
    assert checked.exit_code == 2
    assert checked.stdout.startswith("CRITICAL - partition 0: history missing: entries after 0-0")
    [line] = [one for one in await run.lines(groups, "ls") if one.startswith(GROUP)]
    assert line.endswith("history missing")
    assert not await is_live(waiting)


async def is_live(log: EventLog) -> bool:
    return bool(await log.server.client.call("EXISTS", log.keys.live(0, GROUP)))


async def test_nothing_is_accepted_unless_it_is_wanted(waiting: EventLog, run: Commands) -> None:
    asked = await run(log_commands, "accept-loss")
    assert asked.exit_code == 2
    assert "entries after 0-0 were deleted" in asked.stderr
    assert not await is_live(waiting)


async def test_a_read_model_is_built_of_what_is_left_and_projectors_go_on(
    waiting: EventLog, run: Commands
) -> None:
    done = await run(log_commands, *ACCEPT)
    assert done.exit_code == 0, done.output
    assert "route-table is built" in done.stderr
    await waiting.append(created())
    await until_settled(waiting, GROUP)
    assert (await states(waiting, ROUTE_TABLE))[E].name == "chat"
    held = await read_partition_identity(waiting.server.client.call, waiting.keys, 0)
    assert (held.identity, held.missing) == (waiting.layout.identity, {})
    assert "history missing" not in (await run(doctor)).stdout


async def test_a_log_of_which_nothing_is_left_is_made_again_under_another_identity(
    redis_url: str, namespace: str, run: Commands
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=2) as log:
        call, keys = log.server.client.call, log.keys
        await log.append(created())
        names = [
            name
            async for name in (await log.server.at("")).scan_iter(f"*{namespace}*", count=10_000)
        ]
        await call("DEL", *names)
        await log.append(created())  # by somebody who does not know that all is gone
        refused = await run(endpoints, "ls")
        assert "has lost its layout" in str(refused.exception)
        done = await run(log_commands, *ACCEPT, "--partitions", "2")
        assert done.exit_code == 0, done.output
        layout = await read_layout(log.server.client, keys)
        assert layout is not None
        assert (layout.partitions, layout.is_complete) == (2, True)
        assert layout.identity != log.layout.identity


async def test_a_log_is_created_once_with_the_partitions_that_are_wanted(
    run: Commands, redis_url: str, namespace: str
) -> None:
    asked = await run(log_commands, "create", "--partitions", "5")
    assert asked.exit_code == 2
    assert f"log {namespace}: none -> 5 partitions" in asked.stderr
    created_once = await run(log_commands, "create", "--partitions", "5", "--yes")
    assert "with 5 partitions" in created_once.stderr
    async with open_log(redis_url, namespace=namespace) as opened:
        assert opened.partitions == 5
        assert opened.layout.is_complete
    again = await run(log_commands, "create", "--partitions", "3", "--yes")
    assert end_of(again) == 1
    assert f"the log '{namespace}' exists, with 5 partitions" in str(again.exception)


async def test_of_several_that_create_a_log_at_once_one_succeeds(
    redis_url: str, namespace: str
) -> None:
    ended: list[str] = []

    async def create(partitions: int) -> None:
        async with open_server(ServerSettings(url=redis_url)) as server:
            try:
                await create_layout(server.client, Keys(namespace), partitions)
            except LayoutError:
                ended.append("refused")
            else:
                ended.append("created")

    async with anyio.create_task_group() as tasks:
        for partitions in (2, 2, 3, 3):
            tasks.start_soon(create, partitions)
    assert sorted(ended) == ["created", "refused", "refused", "refused"]


async def test_a_move_to_other_partitions_is_shown_done_and_done_once(
    run: Commands, redis_url: str, namespace: str
) -> None:
    words = ("repartition", "--partitions", "3", "--into", f"{namespace}-b")
    async with open_log(redis_url, namespace=namespace) as log:
        await log.append(created(), listed(record()))
        for arguments, code in ((("--dry-run",), 0), ((), 2)):
            asked = await run(log_commands, *words, *arguments)
            assert asked.exit_code == code
            assert "partitions: 1 -> 3" in asked.stderr
            assert await log.server.client.call("EXISTS", f"{namespace}-b:layout") == 0
        moved = await run(log_commands, *words, "--yes")
        assert end_of(moved) == 0
        assert "2 entries of 1 endpoints are the same, 2 documents are right" in moved.stderr
        assert (await run.lines(endpoints, "ls"))[1].startswith(str(E)[:8])
        again = await run(log_commands, *words, "--yes")
        assert again.exit_code == 2
        assert "the log has 3 already" in again.stderr
        back = ("repartition", "--partitions", "1", "--into", f"{namespace}-c", "--yes")
        assert end_of(await run(log_commands, *back)) == 0
        await log.append(created())
        assert log.current.keys.namespace == f"{namespace}-c"


async def test_a_log_moves_to_another_server_and_no_password_is_written_down(
    redis_url: str, own_server: EmbeddedServer, namespace: str
) -> None:
    urls = [url.replace("://", "://mover:secret@") for url in (redis_url, own_server.url)]
    for url in (redis_url, own_server.url):
        async with open_server(ServerSettings(url=url)) as server:
            await server.client.call("ACL SETUSER", "mover", "on", ">secret", "~*", "+@all")
    async with open_log(urls[0], namespace=namespace) as log:
        await log.append(created(), listed(record()))
        moved = await Commands(urls[0], namespace)(log_commands, "move", "--to", urls[1], "--yes")
        assert end_of(moved) == 0, moved.output
        place = await log.server.client.call("HGET", log.keys.layout, "moved-to")
        assert b"secret" not in bytes(str(place), "utf-8")
        assert "secret" not in moved.output
        await log.append(created(name="later"))
        assert log.current.server.address == f"127.0.0.1:{own_server.port}"
    shown = await Commands(urls[0], namespace).lines(endpoints, "ls")
    assert len(shown) == 2


async def test_a_log_moves_from_one_server_to_a_cluster(
    redis_url: str, cluster: ClusterServers, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace) as log:
        await fill(log, 5)
        url = cluster.url
        words = ("move", "--to", url, "--partitions", "4", "--yes")
        moved = await Commands(redis_url, namespace)(log_commands, *words)
        assert end_of(moved) == 0, moved.output
        assert "30 entries of 5 endpoints are the same" in moved.stderr
        await log.append(created())
        assert log.current.partitions == 4
        assert log.current.server.address != log.server.address


async def test_what_a_log_left_behind_is_dropped_and_its_old_name_still_leads_to_it(
    run: Commands, redis_url: str, namespace: str
) -> None:
    async with (
        open_log(redis_url, namespace=namespace) as log,
        open_log(redis_url, namespace=f"{namespace}:0") as neighbour,
    ):
        await log.append(created())
        await neighbour.append(created())
        refused = await run(log_commands, "drop", namespace, "--yes")
        assert end_of(refused) == 1
        words = ("repartition", "--partitions", "2", "--into", f"{namespace}-b", "--yes")
        assert end_of(await run(log_commands, *words)) == 0
        call = log.server.client.call
        await call("XADD", log.keys.events(0), "*", "name", "x")
        assert "a program used XADD" in str(
            (await run(log_commands, "drop", namespace, "--yes")).exception
        )
        await call("DEL", log.keys.events(0))
        assert (await run(log_commands, "drop", namespace)).exit_code == 2
        dropped = await run(log_commands, "drop", namespace, "--yes")
        assert end_of(dropped) == 0
        left = await (await log.server.at("")).call("KEYS", f"*{namespace}[:}}]*")
        mine = [key for key in reply(left, list[bytes]) if f"{namespace}:0:0".encode() not in key]
        own = {key.decode() for key in mine} - {neighbour.keys.layout}
        assert own == {log.keys.layout, log.keys.seal(0)}
        assert await neighbour.head(0) > START
        await log.append(created(name="later"))
        assert len(await run.lines(endpoints, "ls")) == 2
