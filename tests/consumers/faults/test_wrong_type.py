"""Something else lies where the stream, or a document hash, should be."""

import anyio
import pytest

from consumers.processes.embedded import EmbeddedServer
from consumers.runtime.consumer import ConsumerSettings
from consumers.runtime.group import Group
from consumers.runtime.group_history import GroupHistory
from consumers.runtime.new_entries import NewEntries
from consumers.runtime.projector import Projector
from events.entry.entry_id import START
from events.errors import ServerRefusedError, UncertainAppendError, WrongTypeError
from events.log.log import EventLog, open_log
from projections.read_model.reader import ReaderSettings, open_reader
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.handler_group import handler_consumer_of, handling_with
from tests.consumers.support.logged import said, until_said
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    consumer_of,
    consuming,
    created,
    fill,
    folded_in_order,
    states,
    until_settled,
)
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import wait_until

PATIENT = ConsumerSettings(block_ms=60_000, claim_idle_ms=600_000, policy=QUICK.policy)


async def replace(log: EventLog) -> None:
    stream = log.keys.events(0)
    pipeline = (await log.server.at(log.keys.events(0))).pipeline(transaction=True)
    pipeline.rename(stream, f"{stream}:aside")
    pipeline.set(stream, "no stream")
    await pipeline.execute()


async def put_back(log: EventLog) -> None:
    stream = log.keys.events(0)
    await log.server.client.call("RENAME", f"{stream}:aside", stream)


@pytest.mark.parametrize("settings", [QUICK, PATIENT], ids=["looks often", "waits long"])
async def test_a_stream_replaced_by_another_type_is_named_and_waited_for(
    own_log: EventLog, settings: ConsumerSettings
) -> None:
    handling = Handling()
    with captured_lines() as logs:
        async with consuming(consumer_of(own_log, handling, settings=settings)):
            before = (await own_log.append(created(), created())).entry_ids
            await handling.until_handled(*before)
            await until_settled(own_log)
            await replace(own_log)
            await until_said(logs, "server_refused", "WRONGTYPE", timeout_s=5.0)
            with pytest.raises(ServerRefusedError, match="WRONGTYPE"):
                await own_log.append(created())
            await put_back(own_log)
            after = (await own_log.append(created(), created())).entry_ids
            await handling.until_handled(*after)
            await until_settled(own_log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)
    refused = said(logs, "server_refused")
    assert 1 <= len(refused) <= 6
    assert {one["log_level"] for one in refused} == {"error"}


async def test_a_look_at_a_stream_that_was_replaced_before_a_read_names_it(
    own_log: EventLog,
) -> None:
    server, place, member = own_log.server, (own_log.keys, 0), (GROUP, "first")
    await Group(server, *place, GROUP).ensure(START)
    history = GroupHistory(server, *place, member)
    async with NewEntries.open(server, place, member, history, QUICK.block_ms) as new:
        await replace(own_log)
        await new.ask(1, QUICK.block_ms)
        with pytest.raises(WrongTypeError, match=own_log.keys.events(0)):
            await new.receive()


async def test_a_consumer_waits_for_the_stream_when_it_finds_another_type_at_its_start(
    own_log: EventLog,
) -> None:
    handling = Handling()
    await own_log.append(created())
    await replace(own_log)
    with captured_lines() as logs:
        async with consuming(consumer_of(own_log, handling)):
            await until_said(logs, "server_refused", "WRONGTYPE")
            await put_back(own_log)
            [entry_id] = [one.entry_id async for one in own_log.read()]
            await handling.until_handled(entry_id)
            await until_settled(own_log)

    assert dict(handling.calls) == {entry_id: 1}


async def test_a_consumer_that_is_refused_stops_at_once_when_it_is_told_to(
    own_log: EventLog,
) -> None:
    await own_log.append(created())
    await replace(own_log)
    with captured_lines() as logs:
        async with consuming(consumer_of(own_log, Handling())):
            await until_said(logs, "server_refused", "WRONGTYPE")


async def test_a_handler_waits_for_the_stream_that_was_replaced_and_goes_on(
    own_log: EventLog,
) -> None:
    handling = Handling()
    with captured_lines() as logs:
        async with handling_with(handler_consumer_of(own_log, handling)):
            before = (await own_log.append(created(), created())).entry_ids
            await handling.until_handled(*before)
            await until_settled(own_log)
            await replace(own_log)
            await until_said(logs, "server_refused", "WRONGTYPE")
            await put_back(own_log)
            after = (await own_log.append(created(), created())).entry_ids
            await handling.until_handled(*after)
            await until_settled(own_log)

    assert dict(handling.calls) == dict.fromkeys([*before, *after], 1)


async def test_an_append_that_is_refused_after_a_lost_reply_is_uncertain(
    own_server: EmbeddedServer, own_log: EventLog
) -> None:
    """The first try is in the log; what is refused is only the second one."""
    async with (
        tcp_proxy(own_server.port) as proxy,
        open_log(proxy.url, namespace=own_log.keys.namespace) as through,
    ):
        first = (await through.append(created())).entry_ids
        proxy.lose_next_reply_to(b"EVALSHA")
        async with anyio.create_task_group() as tasks:

            async def append() -> None:
                with pytest.raises(UncertainAppendError, match="WRONGTYPE"):
                    await through.append(created())

            tasks.start_soon(append)
            await wait_until(lambda: proxy.lost == 1, "the reply is lost")
            second_try = proxy.hold_next(b"EVALSHA")
            await second_try.arrived.wait()
            await replace(own_log)
            await second_try.release()
        await put_back(own_log)

    assert len([one async for one in own_log.read(first[0])]) == 2


async def test_documents_replaced_by_another_type_are_built_anew_and_the_reader_keeps_its_table(
    own_log: EventLog,
) -> None:
    client, keys = own_log.server.client, own_log.keys
    name = ROUTE_TABLE.name
    projecting = consumer_of(own_log, Projector(own_log, ROUTE_TABLE, 0, QUICK.policy), group=name)
    with captured_lines() as logs:
        async with consuming(projecting):
            endpoints = await fill(own_log, 3)
            await until_settled(own_log, name)
            settings = ReaderSettings(block_ms=50, audit_s=0.05)
            async with open_reader(own_log, settings) as reader:
                documents = keys.documents(
                    0, name, int(await client.execute_command("GET", keys.live(0, name)))
                )
                await client.call("SET", documents, "no hash")
                shown = {len(list(reader.endpoints()))}
                endpoints += await fill(own_log, 1)
                await until_settled(own_log, name)

                async def caught_up() -> bool:
                    shown.add(len(list(reader.endpoints())))
                    found = {one.endpoint_id: one for one in reader.endpoints()}
                    return found == await states(own_log, ROUTE_TABLE)

                await wait_until(caught_up, "the reader has all documents")

            assert await states(own_log, ROUTE_TABLE) == await folded_in_order(own_log, ROUTE_TABLE)
    assert {one.endpoint_id for one in reader.endpoints()} == set(endpoints)
    assert shown <= {3, 4}
    assert len(said(logs, "read_model_lost")) == 1


async def test_a_live_generation_that_is_no_number_is_named_and_waited_for(
    own_log: EventLog,
) -> None:
    client, live = own_log.server.client, own_log.keys.live(0, ROUTE_TABLE.name)
    name = ROUTE_TABLE.name
    projecting = consumer_of(own_log, Projector(own_log, ROUTE_TABLE, 0, QUICK.policy), group=name)
    with captured_lines() as logs:
        async with consuming(projecting):
            await fill(own_log, 2)
            await until_settled(own_log, name)
            number = await client.execute_command("GET", live)
            async with open_reader(own_log, ReaderSettings(block_ms=50)) as reader:
                await wait_until(lambda: len(list(reader.endpoints())) == 2, "the table is read")
                await client.call("SET", live, "abc")
                await fill(own_log, 1)
                await until_said(logs, "server_refused", f"{live} is 'abc'")
                assert len(list(reader.endpoints())) == 2
                await client.call("SET", live, number)
                await until_settled(own_log, name)
                await wait_until(lambda: len(list(reader.endpoints())) == 3, "it is caught up")
