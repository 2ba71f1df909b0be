"""The log in memory: what only it has, and that it does what the log on Redis does."""

from itertools import count
from uuid import UUID, uuid4

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.processes.embedded import EmbeddedServer
from events import FSYNC, START, Durability, EntryId
from events.errors import ConflictError, LayoutError, NotDurableError, ServerRefusedError
from events.log.keys import partition_of
from events.log.protocol import AppendableLog
from events.testing import MemoryLog
from tests.events.support.any_log import KINDS, endpoint_in, lengths, open_any_log, ratio
from tests.support.laws import examples


async def test_a_log_that_cannot_fsync_refuses_and_writes_nothing() -> None:
    log = MemoryLog(can_fsync=False)
    with pytest.raises(ServerRefusedError, match="nothing was appended"):
        await log.append(ratio(uuid4()), durability=FSYNC)
    assert await lengths(log) == [0]


async def test_an_append_waits_for_as_many_replicas_as_there_are() -> None:
    log = MemoryLog(replicas=1)
    await log.append(ratio(uuid4()), durability=Durability(replicas=1))
    with pytest.raises(NotDurableError, match=r"replicas are 1 \(asked for: 2\)"):
        await log.append(ratio(uuid4()), durability=Durability(replicas=2))
    assert await lengths(log) == [2]


async def test_ids_rise_also_where_the_clock_stands_or_is_set_back() -> None:
    times = iter((5, 5, 3, 7))
    log = MemoryLog(now_ms=lambda: next(times))
    appended = await log.append(*[ratio(uuid4())] * 4)
    assert list(map(str, appended.entry_ids)) == ["5-0", "5-1", "5-2", "7-0"]


@pytest.mark.parametrize("partitions", [0, 1_025])
def test_a_number_of_partitions_has_limits(partitions: int) -> None:
    with pytest.raises(LayoutError, match="1 to 1024 are"):
        MemoryLog(partitions=partitions)


async def test_a_partition_that_is_not_there_is_an_empty_one() -> None:
    log = MemoryLog(partitions=2)
    await log.append(*[ratio(endpoint_in(p, 2)) for p in range(2)])
    for partition in (2, -1):
        assert await log.head(partition) == START
        assert [chunk async for chunk in log.read_entries(partition)] == []


async def test_a_busy_reader_lets_others_run_and_can_be_stopped() -> None:
    log = MemoryLog()
    read = count()
    with anyio.move_on_after(0.05) as scope:
        while next(read) < 10_000_000:
            [_ async for _ in log.read()]
    assert scope.cancelled_caught


PARTITIONS = 3
ENDPOINTS = [endpoint_in(p, PARTITIONS) for p in (0, 0, 1, 2)]

numbers = st.integers(0, len(ENDPOINTS) - 1)
# Which head an append expects: any, the start, the endpoint's, an id on either side of that.
heads = st.sampled_from(["any", "start", "head", "before", "after"])
appends = st.tuples(st.just("append"), st.lists(numbers, min_size=1, max_size=4), heads)
reads = st.tuples(st.just("read"), st.floats(0, 1), st.floats(0, 1))
programs = st.lists(st.one_of(appends, reads), max_size=12)


class Run:
    """Runs a program on a log and keeps what it saw, each id as its rank in its partition."""

    def __init__(self, log: AppendableLog) -> None:
        self.log = log
        self.ids: dict[int, list[EntryId]] = {p: [] for p in range(PARTITIONS)}
        self.seen: list[object] = []

    def rank(self, partition: int, entry_id: tuple[int, int]) -> int:
        return -1 if entry_id == START else self.ids[partition].index(EntryId(*entry_id))

    async def append(self, numbers: list[int], head: str) -> None:
        endpoints = [ENDPOINTS[number] for number in numbers]
        if head != "any":
            endpoints = endpoints[:1] * len(endpoints)
        at = await self.log.endpoint_head(endpoints[0])
        expected = {
            "any": None,
            "start": START,
            "head": at,
            "before": at.before(),
            "after": at.after(),
        }[head]
        try:
            appended = await self.log.append(*map(ratio, endpoints), expected=expected)
        except ConflictError as error:
            rank = self.rank(partition_of(error.endpoint_id, PARTITIONS), error.head)
            self.seen.append(("conflict", rank))
            return
        for endpoint, entry_id in zip(endpoints, appended.entry_ids, strict=True):
            self.ids[partition_of(endpoint, PARTITIONS)].append(entry_id)
        self.seen.append([await self.rank_of_head(endpoint) for endpoint in ENDPOINTS])

    async def rank_of_head(self, endpoint: UUID) -> int:
        head = await self.log.endpoint_head(endpoint)
        return self.rank(partition_of(endpoint, PARTITIONS), head)

    async def read(self, start: float, end: float) -> None:
        for partition, ids in self.ids.items():
            first, last = (ids[int(at * (len(ids) - 1))] if ids else START for at in (start, end))
            async for one in self.log.read(first, last, partition):
                self.seen.append((self.rank(partition, one.entry_id), one.endpoint_id))


@settings(max_examples=examples(40), deadline=None)
@given(program=programs)
async def test_both_logs_do_the_same_in_any_program(
    shared_server: EmbeddedServer, program: list[tuple[str, object, object]]
) -> None:
    seen = []
    for kind in KINDS:
        async with open_any_log(kind, shared_server.url, PARTITIONS) as opened:
            run = Run(opened.log)
            for what, first, second in program:
                await getattr(run, what)(first, second)
            await run.read(0, 1)
            seen.append(run.seen)
    assert seen[0] == seen[1]
