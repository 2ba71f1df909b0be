"""Projectors, handlers, readers and commands on a Redis Cluster whose nodes change meanwhile."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from msgspec.structs import replace

from consumers.cli.groups.groups import groups
from consumers.cli.streams.streams import streams
from consumers.handlers.handler_consumer import HandlerConsumer
from consumers.handlers.handler_work import HandlerWork
from consumers.runtime.consumer import Consumer
from consumers.runtime.projector import Projector
from events import START, EventLog, open_log
from events.entry.recorded import RecordedEvent
from events.server.settings import ServerSettings
from projections.read_model.reader import ReaderSettings, RouteTableReader, open_reader
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands
from tests.consumers.support.examination import examined, found
from tests.consumers.support.handler_group import LASTING, handling_with, in_order
from tests.events.support.appenders import Appenders
from tests.support.cluster_servers import ClusterServers, slot_of
from tests.support.histories import created
from tests.support.running_consumer import GROUP, QUICK, consuming
from tests.support.server_set import ask
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

PARTITIONS = 4
WAIT_S = 60.0


@asynccontextmanager
async def opened(cluster: ClusterServers, namespace: str) -> AsyncIterator[EventLog]:
    settings = ServerSettings(url=cluster.url, timeout_s=2.0)
    async with open_log(settings, namespace=namespace, partitions=PARTITIONS) as log:
        yield log


@asynccontextmanager
async def projecting(log: EventLog) -> AsyncIterator[RouteTableReader]:
    """Run a projector of the route table for each partition, and a reader."""
    consumers = [
        Consumer(
            *(log, partition, (ROUTE_TABLE.read_model, "one")),
            Projector(log, ROUTE_TABLE, partition, QUICK.policy),
            QUICK,
        )
        for partition in range(PARTITIONS)
    ]
    settings = ReaderSettings(block_ms=300)
    async with consuming(*consumers), open_reader(log, settings) as reader:
        yield reader


async def until_shown(log: EventLog, reader: RouteTableReader) -> None:
    """Wait until the reader shows the last event of every endpoint, as the log has it."""
    newest = {one.endpoint_id: one.entry_id async for one in log.read()}
    assert newest

    def shown() -> bool:
        return {one.endpoint_id: one.version for one in reader.endpoints()} == newest

    await wait_until(shown, "the reader shows what the log says", WAIT_S)


async def test_the_table_is_what_the_log_says_after_every_kind_of_change(
    patient_cluster: ClusterServers, namespace: str
) -> None:
    async with opened(patient_cluster, namespace) as log, projecting(log) as reader:
        appenders = Appenders(log)
        key, slot = log.keys.events(0), slot_of(log.keys.events(1))
        async with appenders.running(8):
            await appenders.until(50)
            source = await patient_cluster.master_of_slot(slot)
            target = next(one for one in await patient_cluster.masters() if one is not source)
            await patient_cluster.move_slot(slot, target)
            await appenders.until(50)
            await patient_cluster.failover(key)
            await appenders.until(50)
            await patient_cluster.until_whole()
            master = await patient_cluster.master_of(key)
            patient_cluster.kill(master)
            await patient_cluster.until_promoted(key, master)
            await appenders.until(50)
        await until_shown(log, reader)
        await wait_until(lambda: reader.state == "following", "the reader follows", WAIT_S)


async def test_a_handler_group_keeps_the_order_of_each_endpoint_while_slots_move(
    patient_cluster: ClusterServers, namespace: str
) -> None:
    handled: list[RecordedEvent] = []

    async def note(recorded: RecordedEvent) -> None:
        handled.append(recorded)

    async with opened(patient_cluster, namespace) as log:
        work = HandlerWork(note, None, START)
        members = [
            HandlerConsumer(log, p, (GROUP, "one"), work, LASTING) for p in range(PARTITIONS)
        ]
        async with handling_with(*members):
            appenders = Appenders(log)
            async with appenders.running(8):
                await appenders.until(30)
                for partition in range(PARTITIONS):
                    slot = slot_of(log.keys.events(partition))
                    source = await patient_cluster.master_of_slot(slot)
                    others = [one for one in await patient_cluster.masters() if one is not source]
                    await patient_cluster.move_slot(slot, others[0])
                await appenders.until(30)
            told = {*appenders.acknowledged.values()}

            def are_handled() -> bool:
                return told <= {one.entry_id for one in handled}

            await wait_until(are_handled, "all are handled", WAIT_S)
    for endpoint_id, ids in in_order(handled).items():
        assert ids == sorted(ids), endpoint_id


async def test_commands_and_the_doctor_say_which_node_has_each_partition(
    cluster: ClusterServers, namespace: str
) -> None:
    async with opened(cluster, namespace) as log:
        for _ in range(20):
            await log.append(replace(created(), endpoint_id=uuid4()))
        nodes = [str((await log.server.at(log.keys.events(p))).place) for p in range(PARTITIONS)]
    run = Commands(cluster.url, namespace)
    listed = await run(streams, "ls", "-o", "json")
    assert [one["node"] for one in json.loads(listed.stdout)] == nodes
    assert nodes[0] in (await run(streams, "ls")).stdout
    assert (await run(groups, "ls")).exit_code == 0
    findings = await examined(cluster.url, namespace)
    spread = found(findings, "cluster partitions")
    assert spread.figure == ", ".join(f"{one}: {nodes.count(one)}" for one in sorted({*nodes}))
    assert found(findings, "cluster slots").figure == "3 masters"
    await until_replicas_are(cluster, namespace, "ok")
    assert found(findings, "cluster coverage").severity == "warning"
    assert found(findings, f"{nodes[0]} role").severity == "ok"


async def until_replicas_are(cluster: ClusterServers, namespace: str, severity: str) -> None:
    """Wait until the nodes have heard of each other what the doctor then says."""

    async def so() -> bool:
        findings = await examined(cluster.url, namespace)
        return found(findings, "cluster replicas").severity == severity

    await wait_until(so, f"of replicas the doctor says {severity}", WAIT_S)


async def test_the_doctor_names_slots_without_a_master_and_masters_without_a_replica(
    own_cluster: ClusterServers, namespace: str
) -> None:
    for node in own_cluster.servers:
        await ask(node, "CONFIG", "SET", "cluster-require-full-coverage", "no")
    async with opened(own_cluster, namespace) as log:
        await log.append(created())
        key = log.keys.events(0)
    master = await own_cluster.master_of(key)
    [replica] = await own_cluster.replicas_of(master)
    own_cluster.kill(replica)

    await until_replicas_are(own_cluster, namespace, "warning")
    own_cluster.kill(master)

    async def is_missed() -> bool:
        findings = await examined(own_cluster.url, namespace)
        return found(findings, "cluster slots").severity == "error"

    await wait_until(is_missed, "the doctor misses slots", WAIT_S)
