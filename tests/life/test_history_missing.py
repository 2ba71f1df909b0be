"""A history that vanishes is never a new truth: all wait, readers keep their table, one decides."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from consumers.processes.embedded import EmbeddedServer, embedded_server
from consumers.runtime.consumer import Consumer
from consumers.runtime.projector import Projector
from events import EventLog, open_log
from events.archive.errors import ForeignArchiveError
from events.errors import LayoutError
from events.history.history import History
from events.log.accepted_loss import accept_loss, layout_left
from events.log.partition_identity import read_partition_identity
from projections import ReaderSettings, RouteTableReader, open_reader
from projections.replay.folding import Folding
from projections.replay.replay import replay
from projections.route_table.route_table import ROUTE_TABLE
from projections.snapshots.snapshot import SnapshotSettings
from projections.snapshots.snapshot_store import Snapshots
from tests.events.support.archives import archive_in, run
from tests.support.histories import created, listed, record
from tests.support.projectors import QUICK as QUICK_SETTINGS
from tests.support.projectors import member, settled, store_of
from tests.support.running_consumer import consuming, documents, until_settled
from tests.support.script_calls import call_of
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import wait_until

GROUP = ROUTE_TABLE.read_model
QUICK = ReaderSettings(block_ms=50, audit_s=0.2)


class Deployment:
    """A server behind an address that stays, a log on it, a projector and a reader.

    Attributes:
        log: The log, as all see it.
        reader: The reader.
    """

    def __init__(self, server: EmbeddedServer, proxy: TcpProxy, log: EventLog) -> None:
        self.server = server
        self.proxy = proxy
        self.log = log

    async def add(self, count: int) -> set[UUID]:
        """Record *count* endpoints with a route each; return their ids."""
        ids = {uuid4() for _ in range(count)}
        for one in ids:
            await self.log.append(
                created(endpoint_id=one), replace(listed(record()), endpoint_id=one)
            )
        return ids

    async def until_waiting(self) -> None:
        """Wait until the projector has said to everybody that history is missing."""

        async def is_said() -> bool:
            held = await read_partition_identity(self.log.server.client.call, self.log.keys, 0)
            return GROUP in held.missing

        await wait_until(is_said, "the projector waits")

    async def accept(self) -> None:
        """Decide to go on without what is missing."""
        client, keys = self.log.server.client, self.log.keys
        await accept_loss(client, keys, await layout_left(client, keys, None))

    async def in_log(self) -> dict[UUID, object]:
        """Return what the log folds to."""
        folding = Folding(ROUTE_TABLE, 0)
        await replay(self.log, folding)
        folding.flush()
        return dict(folding.states)


@asynccontextmanager
async def deployed(namespace: str) -> AsyncIterator[Deployment]:
    with embedded_server("--appendfsync", "always") as server:
        async with (
            tcp_proxy(server.port) as proxy,
            open_log(proxy.url, namespace=namespace, source="test") as log,
        ):
            yield Deployment(server, proxy, log)


def table_of(reader: RouteTableReader) -> dict[UUID, object]:
    return {state.endpoint_id: state for state in reader.endpoints()}


async def flush(deployment: Deployment) -> None:
    await deployment.log.server.client.call("FLUSHALL")


async def delete_stream(deployment: Deployment) -> None:
    await deployment.log.server.client.call("DEL", deployment.log.keys.events(0))


async def restart_empty(deployment: Deployment) -> None:
    deployment.server.kill()
    shutil.rmtree(deployment.server.folder / "appendonlydir")
    await anyio.to_thread.run_sync(deployment.server.start)


async def restart_with_an_older_file(deployment: Deployment) -> None:
    folder = deployment.server.folder
    deployment.server.kill()
    shutil.rmtree(folder / "appendonlydir")
    shutil.copytree(folder / "older", folder / "appendonlydir")
    await anyio.to_thread.run_sync(deployment.server.start)


async def fail_over_to_an_empty_replica(deployment: Deployment) -> None:
    deployment.server.kill()
    shutil.rmtree(deployment.server.folder / "appendonlydir")
    deployment.server.port += 1
    await anyio.to_thread.run_sync(deployment.server.start)
    deployment.proxy.retarget(deployment.server.port)


def copy_file(folder: Path) -> None:
    shutil.copytree(folder / "appendonlydir", folder / "older")


LOSSES = (
    flush,
    delete_stream,
    restart_empty,
    restart_with_an_older_file,
    fail_over_to_an_empty_replica,
)


@pytest.mark.parametrize("lose", LOSSES, ids=[one.__name__ for one in LOSSES])
async def test_all_wait_and_the_reader_keeps_its_table_until_a_person_decides(
    namespace: str, lose: Callable[[Deployment], Awaitable[None]]
) -> None:
    async with deployed(namespace) as deployment:
        log = deployment.log
        async with consuming(member(log, ROUTE_TABLE)):
            await deployment.add(3)
            copy_file(deployment.server.folder)
            lost = await deployment.add(3)
            await until_settled(log, GROUP)
            async with open_reader(log, QUICK) as reader:
                before = table_of(reader)
                assert len(before) == 6

                await lose(deployment)
                await deployment.until_waiting()
                await wait_until(lambda: reader.state == "history_missing", "the reader waits")
                await deployment.add(1)
                held = await read_partition_identity(log.server.client.call, log.keys, 0)
                assert table_of(reader) == before
                assert reader.reason.startswith("partition 0: ")
                assert held.missing[GROUP].cause.startswith("partition 0: ")
                assert reader.age_s > 0

                await deployment.accept()
                await until_settled(log, GROUP)
                await wait_until(lambda: reader.state == "following", "the reader follows")
                kept = lost if lose is delete_stream else set()
                in_log = await deployment.in_log()
                assert in_log
                await wait_until(
                    lambda: in_log.items() <= table_of(reader).items(), "the reader has it"
                )
                assert lost & table_of(reader).keys() == kept


async def test_a_log_that_was_made_anew_is_not_taken_for_the_one_that_is_gone(
    namespace: str,
) -> None:
    async with deployed(namespace) as deployment:
        log = deployment.log
        async with consuming(member(log, ROUTE_TABLE)):
            await deployment.add(2)
            await until_settled(log, GROUP)
            async with open_reader(log, QUICK) as reader:
                before = table_of(reader)
                deployment.server.kill()
                shutil.rmtree(deployment.server.folder / "appendonlydir")
                await anyio.to_thread.run_sync(deployment.server.start)
                # Whoever knows nothing may be faster than those who remember.
                async with open_log(deployment.server.url, namespace=namespace) as other:
                    await other.append(created(endpoint_id=uuid4()))
                    assert other.layout.identity != log.layout.identity
                await deployment.until_waiting()
                await wait_until(lambda: reader.state == "history_missing", "the reader waits")
                assert table_of(reader) == before
                assert str(log.layout.identity) in reader.reason


async def test_nobody_makes_a_log_anew_where_projectors_wait_for_the_one_that_is_gone(
    namespace: str,
) -> None:
    async with (
        deployed(namespace) as deployment,
        consuming(member(deployment.log, ROUTE_TABLE)),
    ):
        await deployment.add(1)
        await until_settled(deployment.log, GROUP)
        await flush(deployment)
        await deployment.until_waiting()
        with pytest.raises(LayoutError, match="has lost its layout"):
            async with open_log(deployment.proxy.url, namespace=namespace):
                pytest.fail("it was opened")


async def test_what_was_read_of_one_history_is_not_folded_into_another(namespace: str) -> None:
    async with deployed(namespace) as deployment:
        log = deployment.log
        async with consuming(member(log, ROUTE_TABLE)):
            await deployment.add(2)
            await until_settled(log, GROUP)
            apply = deployment.proxy.hold_next(call_of("projections.read_model", "apply"))
            async with open_log(deployment.server.url, namespace=namespace) as direct:
                [lost] = {uuid4()}
                await direct.append(created(endpoint_id=lost))
                await apply.arrived.wait()
                await direct.server.client.call("FLUSHALL")
                client, keys = direct.server.client, direct.keys
                await accept_loss(client, keys, await layout_left(client, keys, 1))
                following = uuid4()
                await direct.append(created(endpoint_id=following))
                await apply.release()
                await until_settled(direct, GROUP)
                assert set(await documents(direct, ROUTE_TABLE)) == {following}


async def test_a_snapshot_still_knows_the_log_that_nobody_else_remembers(
    namespace: str, tmp_path: Path
) -> None:
    async with deployed(namespace) as deployment:
        log = deployment.log
        snapshots = Snapshots(log, 0, SnapshotSettings(str(tmp_path)))
        await deployment.add(2)
        async with settled(log):
            await snapshots.take(store_of(log))
        await flush(deployment)
        async with open_log(deployment.proxy.url, namespace=namespace) as anew:
            following = created(endpoint_id=uuid4())
            await anew.append(following)
            of_new = Snapshots(anew, 0, SnapshotSettings(str(tmp_path)))
            projector = Projector(anew, ROUTE_TABLE, 0, QUICK_SETTINGS.policy, of_new)
            consumer = Consumer(anew, 0, (GROUP, "one"), projector, QUICK_SETTINGS)
            async with consuming(consumer):
                await deployment.until_waiting()
                assert await store_of(anew).live_generation() is None
                await deployment.accept()
                await until_settled(anew, GROUP)
                assert set(await documents(anew, ROUTE_TABLE)) == {following.endpoint_id}


async def test_an_archive_of_another_log_is_neither_read_nor_written(
    namespace: str, tmp_path: Path
) -> None:
    async with deployed(namespace) as deployment:
        await deployment.add(2)
        archive = archive_in(tmp_path, deployment.log)
        assert await run(deployment.log, archive)
        await flush(deployment)
        async with open_log(deployment.proxy.url, namespace=namespace) as anew:
            following = await anew.append(created(endpoint_id=uuid4()))
            entries = [one async for one in History(anew, archive).read()]
            assert [one.entry_id for one in entries] == list(following.entry_ids)
            with pytest.raises(ForeignArchiveError, match="archive it to a place of its own"):
                await run(anew, archive)


async def test_a_table_in_which_most_routes_are_gone_without_an_event_is_held_back(
    namespace: str,
) -> None:
    async with deployed(namespace) as deployment:
        log = deployment.log
        await deployment.add(4)
        async with settled(log), open_reader(log, QUICK) as reader:
            before = table_of(reader)
            store = store_of(log)
            generation, seen = await store.new_generation(), await store.live_generation()
            assert await store.go_live(generation, seen)  # as a faulty release might do
            await wait_until(lambda: reader.state == "held_back", "the table is held back")
            assert "4 of 4 routes are gone" in reader.reason
            assert table_of(reader) == before
            await deployment.accept()
            await wait_until(lambda: reader.state == "following", "the reader follows")
            assert table_of(reader) == {}
