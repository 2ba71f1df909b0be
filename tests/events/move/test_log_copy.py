"""A log that is copied to another number of partitions has the same entries for every endpoint."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.processes.embedded import EmbeddedServer
from events import START, EntryId, EventLog, open_log
from events.errors import ConflictError, LayoutError, TrimmedError
from events.history.history import History
from events.log.keys import partition_of
from events.move.log_copy import LogCopy
from events.move.log_digest import LogDigest, differing
from events.move.target import MoveSize, check_memory, open_target, read_size
from events.transfer.copy import MovedError
from tests.events.support.archives import archive_in, run, trim
from tests.support.laws import examples
from tests.support.running_consumer import created, fill

ENDPOINTS = [UUID(int=0x1_0000 + number * 7) for number in range(6)]
Moved = dict[UUID | None, list[tuple[EntryId, tuple[tuple[bytes, bytes], ...]]]]

appends = st.tuples(st.sampled_from(ENDPOINTS), st.sampled_from([0, 0, 1, 5, -2]))
copies = st.sampled_from(["copy", "killed"])
steps = st.lists(st.one_of(appends, appends, appends, copies), max_size=30)


async def by_endpoint(log: EventLog) -> Moved:
    """Return what each endpoint has: ids and fields in their order."""
    found: Moved = {}
    for partition in range(log.partitions):
        async for entries in log.read_entries(partition):
            for entry in entries:
                payload = entry.fields.get(b"payload", b"")
                endpoint = next((one for one in ENDPOINTS if str(one).encode() in payload), None)
                found.setdefault(endpoint, []).append((entry.entry_id, tuple(entry.pairs)))
                if endpoint is not None:
                    assert partition == partition_of(endpoint, log.partitions)
    return found


async def add(log: EventLog, endpoint: UUID, ms: int) -> None:
    """Add an entry at *ms* of a clock, or at the stream's own where that is later."""
    partition = partition_of(endpoint, log.partitions)
    at = max(ms, (await log.head(partition)).ms)
    payload = f'{{"endpoint_id":"{endpoint}"}}'
    fields = ("name", "x", "v", 1, "id", str(uuid4()), "payload", payload, "name", "twice")
    await log.server.client.call("XADD", log.keys.events(partition), f"{at}-*", *fields)


async def copy_of(source: EventLog, namespace: str, partitions: int) -> tuple[EventLog, LogCopy]:
    target = await open_target(History(source), source.server, namespace, partitions, create=True)
    copy = LogCopy(History(source), target, lambda _count, _at: None)
    await copy.begin()
    return target, copy


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=st.integers(1, 4), after=st.integers(1, 4), history=steps)
async def test_every_endpoint_keeps_its_entries_in_their_order(
    shared_server: EmbeddedServer, before: int, after: int, history: Sequence[object]
) -> None:
    namespace = f"law-{uuid4().hex[:8]}"
    async with open_log(shared_server.url, namespace=namespace, partitions=before) as source:
        target, copy = await copy_of(source, f"{namespace}-b", after)
        ms = 5
        for step in history:
            if step == "killed":
                _, copy = await copy_of(source, f"{namespace}-b", after)
            if isinstance(step, str):
                await copy.copy(await copy.ends())
            elif isinstance(step, tuple):
                ms = max(1, ms + step[1])
                await add(source, step[0], ms)
        await copy.copy(await copy.ends())
        was, now = await by_endpoint(source), await by_endpoint(target)
        assert was.keys() == now.keys()
        for endpoint, entries in was.items():
            assert [fields for _, fields in now[endpoint]] == [fields for _, fields in entries]
            moved = zip(entries, now[endpoint], strict=True)
            assert all(new_id >= old_id for (old_id, _), (new_id, _) in moved)
        one, other = LogDigest(History(source)), LogDigest(target)
        assert await one.read() == await other.read()
        assert differing(one, other) == []


async def test_entries_keep_their_ids_and_the_events_are_known(
    redis_url: str, namespace: str
) -> None:
    async with open_log(redis_url, namespace=namespace, partitions=3) as source:
        await fill(source, 20)
        target, copy = await copy_of(source, f"{namespace}-b", 5)
        assert await copy.copy(await copy.ends()) == 120
        assert await copy.copy(await copy.ends()) == 0
        event, event_id = created(), uuid4()
        await source.append(event, event_ids=[event_id])
        await copy.copy(await copy.ends())
        [(kept, _)] = [
            one
            for p in range(5)
            async for chunk in target.read_entries(p)
            for one in ((entry.entry_id, entry.fields) for entry in chunk)
            if one[1][b"id"] == str(event_id).encode()
        ]
        assert kept == await source.endpoint_head(event.endpoint_id)
        assert (await target.append(event, event_ids=[event_id])).entry_ids == (kept,)
        with pytest.raises(ConflictError):
            await target.append(event, expected=START)
        with pytest.raises(MovedError):
            await copied_more(source, copy, event.endpoint_id)


async def copied_more(source: EventLog, copy: LogCopy, endpoint: UUID) -> None:
    """Append to the source, and copy into a partition to which another program appends, too."""
    target = EventLog(source.server, copy.target.keys, copy.target.layout, "stranger")
    await source.append(created(endpoint))
    await target.append(created(endpoint))
    await copy.copy(await copy.ends())


async def test_what_was_trimmed_is_copied_from_the_archive_or_nothing_is(
    log: EventLog, tmp_path: Path
) -> None:
    await fill(log, 10)
    archive = archive_in(tmp_path, log)
    await run(log, archive)
    await trim(log, str(await log.head(0)))
    target, copy = await copy_of(log, f"{log.keys.namespace}-b", 2)
    with pytest.raises(TrimmedError):
        await copy.copy(await copy.ends())
    source = History(log, archive)
    copy = LogCopy(source, target, lambda _count, _at: None)
    await copy.begin()
    await copy.copy(await copy.ends())
    one, other = LogDigest(source), LogDigest(target)
    assert await one.read() == await other.read() == 60
    assert differing(one, other) == []


async def test_a_digest_tells_a_lost_entry_a_changed_one_and_another_order(
    redis_url: str, namespace: str
) -> None:
    async with (
        open_log(redis_url, namespace=namespace) as one,
        open_log(redis_url, namespace=f"{namespace}-b", partitions=2) as other,
    ):
        first, second, third = ENDPOINTS[:3]
        for log, order in ((one, (1, 2)), (other, (2, 1))):
            for number in order:
                payload = f'{{"endpoint_id":"{first}","number":{number}}}'
                stream = log.keys.events(partition_of(first, log.partitions))
                await log.server.client.call("XADD", stream, "*", "payload", payload)
        await add(one, second, 5)
        await add(other, third, 5)
        await one.server.client.call("XADD", one.keys.events(0), "*", "no", "endpoint")
        digests = LogDigest(one), LogDigest(other)
        for digest in digests:
            await digest.read()
        assert differing(*digests) == [*map(str, (first, second, third)), "no endpoint"]


async def test_a_log_of_somebody_else_is_never_copied_into(log: EventLog, redis_url: str) -> None:
    source, namespace = History(log), f"{log.keys.namespace}-b"
    async with open_log(redis_url, namespace=namespace, partitions=2):
        with pytest.raises(LayoutError, match="is no copy"):
            await open_target(source, log.server, namespace, 2, create=True)
    copied = f"{log.keys.namespace}-c"
    await open_target(source, log.server, copied, 2, create=True)
    with pytest.raises(LayoutError, match="is being copied"):
        async with open_log(redis_url, namespace=copied):
            pass
    with pytest.raises(LayoutError, match="is no copy"):
        await open_target(source, log.server, copied, 3, create=True)


async def test_a_server_without_the_memory_for_a_copy_is_named(own_log: EventLog) -> None:
    await fill(own_log, 50)
    client = own_log.server.client
    assert (await read_size(History(own_log), own_log.server)).free_bytes is None
    await client.call("CONFIG SET", "maxmemory", "1mb")
    size = await read_size(History(own_log), own_log.server)
    assert size.entries == 300
    with pytest.raises(LayoutError, match="maxmemory: a copy of the log needs about"):
        check_memory(MoveSize(size.entries, size.memory_bytes, 1_000))
