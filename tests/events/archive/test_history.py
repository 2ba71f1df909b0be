"""Archive and stream read as one: each entry once, in order, whatever is trimmed meanwhile."""

import random
from pathlib import Path

import anyio
import pytest

from events import END, START, EntryId, EventLog
from events.archive import Archive
from events.errors import TrimmedError
from events.history.history import History
from events.log.positions import Positions
from tests.events.support.archives import (
    add_many,
    archive_in,
    in_stream,
    run,
    trim,
)
from tests.support.waiting import wait_until


@pytest.fixture
def archive(log: EventLog, tmp_path: Path) -> Archive:
    return archive_in(tmp_path, log)


async def read(history: History, start: EntryId = START, end: EntryId = END) -> list[int]:
    """Return the milliseconds of the ids that are read, in chunks of 7."""
    chunks = history.read_entries(0, start, end, 7)
    return [entry.entry_id.ms async for chunk in chunks for entry in chunk]


def numbers(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


@pytest.mark.parametrize("first_left", [1, 5, 10, 11, 15, 20, 21, 25, 31])
async def test_wherever_the_seam_is_each_entry_is_read_once(
    log: EventLog, archive: Archive, first_left: int
) -> None:
    await add_many(log, 30)
    await run(log, archive)
    await trim(log, first_left)
    await add_many(log, 3, begin=31)
    history = History(log, archive)

    assert await read(history) == numbers(1, 33)
    for start, end in ((4, 27), (10, 11), (21, 21), (30, 33), (32, 99)):
        wanted = numbers(start, min(end, 33))
        assert await read(history, EntryId(start, 0), EntryId(end, 0)) == wanted


async def test_entries_are_read_back_with_all_their_fields(log: EventLog, archive: Archive) -> None:
    await add_many(log, 20)
    before = await in_stream(log)
    await run(log, archive)
    await trim(log, 15)

    read_back = [e async for chunk in History(log, archive).raw_chunks(0) for e in chunk]

    assert [(entry_id, list(fields)) for entry_id, fields in read_back] == before


async def test_while_trims_and_runs_go_on_nothing_is_missing_and_nothing_comes_twice(
    log: EventLog, archive: Archive
) -> None:
    count, rng = 1_500, random.Random(7)
    history, rounds = History(log, archive), 0
    await add_many(log, 500)
    wrote = anyio.Event()

    async def write() -> None:
        for begin in range(501, count, 100):
            await add_many(log, 100, begin=begin)
            await run(log, archive)
            end = (await archive.state(0)).manifest.end
            await trim(log, rng.randrange(end.ms // 2, end.ms + 2))
        wrote.set()

    async def read_on() -> None:
        nonlocal rounds
        while not wrote.is_set():
            read_now = await read(history)
            assert read_now == numbers(1, len(read_now))
            rounds += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        tasks.start_soon(read_on)
        tasks.start_soon(read_on)
    assert await read(history) == numbers(1, count)
    assert rounds > 2


async def test_what_neither_has_is_named(log: EventLog, archive: Archive) -> None:
    await add_many(log, 20)
    await run(log, archive)
    await add_many(log, 10, begin=21)
    await trim(log, 24)

    with pytest.raises(TrimmedError, match="3 entries after 20-0 and before 24-0") as raised:
        await read(History(log, archive))
    assert (raised.value.after, raised.value.first) == ((20, 0), (24, 0))

    told: list[TrimmedError] = []
    history = History(log, archive, told.append)
    assert await read(history) == [*numbers(1, 20), *numbers(24, 30)]
    assert [(one.after, one.first, one.count) for one in told] == [((20, 0), (24, 0), 3)]
    assert await read(history, EntryId(24, 0)) == numbers(24, 30)
    assert len(told) == 1


async def test_without_an_archive_a_trimmed_beginning_is_named(log: EventLog) -> None:
    await add_many(log, 20)
    await trim(log, 11)

    with pytest.raises(TrimmedError, match="10 entries after 0-0 and before 11-0"):
        await read(History(log))
    assert await read(History(log), EntryId(11, 0)) == numbers(11, 20)


async def test_a_stream_that_is_trimmed_empty_says_so_too(log: EventLog, archive: Archive) -> None:
    await add_many(log, 5)
    await trim(log, 99)

    with pytest.raises(TrimmedError, match="5 entries after 0-0 and before the end"):
        await read(History(log, archive))


async def test_an_accepted_gap_is_told_and_raises_nothing(log: EventLog, archive: Archive) -> None:
    await add_many(log, 20)
    await trim(log, 6)
    await run(log, archive, accept_gap=True)
    await trim(log, 21)
    told: list[TrimmedError] = []

    assert await read(History(log, archive)) == numbers(6, 20)
    assert await read(History(log, archive, told.append)) == numbers(6, 20)
    assert [one.count for one in told] == [5]


async def test_a_log_whose_server_is_gone_is_read_from_its_archive(
    log: EventLog, archive: Archive
) -> None:
    await add_many(log, 25)
    await run(log, archive)
    await log.server.client.call("DEL", log.keys.events(0))

    assert await read(History(log, archive)) == numbers(1, 25)


async def test_one_entry_is_found_on_either_side(log: EventLog, archive: Archive) -> None:
    await add_many(log, 20)
    await run(log, archive)
    await trim(log, 11)
    history = History(log, archive)

    for ms in (3, 12):
        found = await history.find(0, EntryId(ms, 0))
        assert found is not None
        assert found.fields == {b"name": b"n-%d-0" % ms}
    assert await history.find(0, EntryId(3, 1)) is None


async def test_of_many_entries_each_segment_is_unpacked_once_and_no_more_than_wanted(
    log: EventLog, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_many(log, 45)
    await run(log, archive)
    await trim(log, 41)
    history, unpacked = History(log, archive), list[str]()
    read = archive.storage.read

    async def counted(name: str, bytes_max: int) -> bytes | None:
        unpacked.append(name)
        return await read(name, bytes_max)

    monkeypatch.setattr(archive.storage, "read", counted)
    wanted = [EntryId(ms, 0) for ms in (3, 8, 22, 29, 33, 42, 99)]

    found = await history.find_all(0, wanted, 9)
    assert sorted(one.ms for one in found) == [3, 8, 22, 29, 33, 42]
    assert [name.count(".zst") for name in unpacked] == [0, 1, 1, 1]
    found = await history.find_all(0, wanted, 1)
    assert sorted(one.ms for one in found) == [33, 42]
    assert [name.count(".zst") for name in unpacked[4:]] == [0, 1]


async def follow(history: History, cursor: EntryId, got: list[int]) -> None:
    async for entry in history.follow_entries(cursor):
        got.append(entry.entry_id.ms)  # noqa: PERF401 - it never ends


@pytest.mark.parametrize("cursor", [0, 4, 12, 20])
async def test_a_follower_that_was_away_goes_on_in_the_archive(
    log: EventLog, archive: Archive, cursor: int
) -> None:
    await add_many(log, 20)
    await run(log, archive)
    await trim(log, 15)
    got: list[int] = []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, History(log, archive), EntryId(cursor, 0), got)
        await wait_until(lambda: len(got) == 20 - cursor, "it has all there is")
        await add_many(log, 5, begin=21)
        await wait_until(lambda: len(got) == 25 - cursor, "it has what came")
        tasks.cancel_scope.cancel()

    assert got == numbers(cursor + 1, 25)


async def test_a_follower_says_what_was_trimmed_beyond_its_cursor(
    log: EventLog, archive: Archive
) -> None:
    await add_many(log, 20)
    await run(log, archive)
    await add_many(log, 10, begin=21)
    await trim(log, 24)

    with pytest.raises(TrimmedError, match="3 entries after 20-0"):
        await follow(History(log, archive), EntryId(18, 0), [])


async def test_a_follower_from_the_end_is_not_troubled_by_what_was_trimmed_before(
    log: EventLog,
) -> None:
    await add_many(log, 20)
    await trim(log, 99)
    got: list[int] = []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, History(log), END, got)
        await wait_until(lambda: blocked_clients(log), "it waits")
        for ms in numbers(21, 24):
            await add_many(log, 1, begin=ms)
            await wait_until(lambda ms=ms: got[-1:] == [ms], f"it has {ms}")  # type: ignore[misc]
            await trim(log, 99)
        tasks.cancel_scope.cancel()

    assert got == numbers(21, 24)


async def blocked_clients(log: EventLog) -> bool:
    return int((await log.server.client.execute_command("INFO", "clients"))["blocked_clients"]) > 0


async def test_the_position_of_the_archive_lets_nothing_be_lost(
    log: EventLog, archive: Archive
) -> None:
    """Trimming at the position, as retention does, leaves the whole history to read."""
    await add_many(log, 33)
    await run(log, archive, EntryId(25, 0))
    position = await Positions(log.server, log.keys, 0).of("archive")
    assert position is not None
    await trim(log, str(position.after()))

    assert await read(History(log, archive)) == numbers(1, 33)
