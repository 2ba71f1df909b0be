"""An entry that is larger than ours may be: a dead letter that says where it is, not what it is."""

import anyio

from consumers.cli.dead.dead import dead
from consumers.runtime.projector import Projector
from events.entry.codec import ENTRY_BYTES_MAX, encode
from events.entry.recorded import bounded_entries_of
from events.log.log import EventLog
from events.log.read_size import READ_BYTES, ReadSize
from events.server.reply import reply
from projections.read_model.store import ReadModelStore
from projections.replay.folding import Folding
from projections.replay.rebuild import Rebuild
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands, end_of
from tests.consumers.support.handler_group import handler_consumer_of, handling_with
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    Handling,
    add_raw,
    consumer_of,
    consuming,
    created,
    until_dead,
    until_settled,
)

BYTES = 3_000_000


async def test_it_is_given_up_by_reference_by_every_kind_of_group(
    log: EventLog, run: Commands
) -> None:
    event = created()
    fields = encode(event, event.endpoint_id, "stranger")
    strings = [part for field in fields.items() for part in field]
    handling, projector = Handling(), Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    groups = (GROUP, ROUTE_TABLE.name)
    async with (
        handling_with(handler_consumer_of(log, handling)),
        consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)),
    ):
        await until_settled(log, ROUTE_TABLE.name)
        large = [await add_raw(log, *strings, b"junk", b"x" * BYTES) for _ in range(3)]
        [following] = (await log.append(created())).entry_ids
        await handling.until_handled(following)
        for group in groups:
            letters = await until_dead(log, 3, group)
            assert [letter.original.entry_id for letter in letters] == large
            assert b"junk" not in letters[0].original.fields
            assert letters[0].original.fields[b"source"] == b"stranger"
            assert f"bytes, the limit is {ENTRY_BYTES_MAX}" in letters[0].error
            assert f"events show {large[0]} --raw" in letters[0].error
            used = await log.server.client.call("MEMORY USAGE", log.keys.dead(0, group))
            assert reply(used, int) < BYTES / 10
    assert end_of(await run(dead, "show", str(letters[0].dead_id))) == 0
    store = ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0)
    with anyio.fail_after(30):
        rebuilt = await Rebuild(log, store, Folding(ROUTE_TABLE, 0)).run()
    assert rebuilt.endpoints == 1


def test_an_entry_as_large_as_ours_may_be_is_held_whole() -> None:
    [held, dropped] = bounded_entries_of(
        [
            (b"1-1", [b"payload", b"x" * (ENTRY_BYTES_MAX - 7)]),
            (b"1-2", [b"payload", b"x" * (ENTRY_BYTES_MAX - 6), b"name", b"n"]),
        ],
        0,
        ENTRY_BYTES_MAX,
    )
    assert (held.oversized_bytes, len(held.fields[b"payload"])) == (0, ENTRY_BYTES_MAX - 7)
    assert (dropped.oversized_bytes, dropped.fields) == (ENTRY_BYTES_MAX + 6, {b"name": b"n"})


def test_a_reading_of_large_entries_asks_for_few_at_a_time() -> None:
    size = ReadSize(1_000)
    for _ in range(4):
        size.note([(b"1-1", [b"name", b"x"])] * size.count)
    assert size.count == 1_000
    size.note([(b"1-1", [b"name", b"x" * 50_000_000])] * 8)
    assert size.count == 1
    size.note([(b"1-1", [b"name", b"x" * (READ_BYTES // 2)])])
    assert size.count == 1
