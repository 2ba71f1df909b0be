"""The archive has what the log had, byte for byte, and never claims more."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.archive import Archive, ArchiveSettings
from events.archive.errors import ForeignArchiveError, GapError
from events.entry.entry_id import END, EntryId
from events.log.log import EventLog
from events.log.positions import Positions
from tests.events.support.archives import (
    Raw,
    add,
    add_many,
    add_raw,
    archive_in,
    archived,
    in_stream,
    names_in,
    run,
    trim,
)

strings = st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode))
pairs = st.lists(st.tuples(strings, strings), min_size=1, max_size=4)
histories = st.lists(pairs, min_size=1, max_size=25)


async def position(log: EventLog) -> EntryId | None:
    return await Positions(log.server, log.keys, 0).of("archive")


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories)
async def test_whatever_bytes_there_are_come_back_as_they_were(
    log: EventLog,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[tuple[bytes, bytes]]],
) -> None:
    await log.server.client.call("DEL", log.keys.events(0), log.keys.positions(0))
    entries: list[Raw] = [
        (b"%d-%d" % (7, at + 1), [part for pair in fields for part in pair])
        for at, fields in enumerate(history)
    ]
    await add_raw(log, entries)
    archive = archive_in(tmp_path_factory.mktemp("archive"), log, entries_max=7)

    await run(log, archive)

    assert await archived(archive) == entries == await in_stream(log)


async def test_segments_are_closed_at_their_bound_and_the_position_follows(
    log: EventLog, tmp_path: Path
) -> None:
    await add_many(log, 25)
    archive = archive_in(tmp_path, log)

    written = await run(log, archive)

    assert [(one.segment.first, one.segment.last, one.segment.count) for one in written] == [
        ("1-0", "10-0", 10),
        ("11-0", "20-0", 10),
        ("21-0", "25-0", 5),
    ]
    assert await position(log) == EntryId(25, 0)
    assert await run(log, archive) == []
    await add_many(log, 1, begin=26)
    assert [one.segment.first for one in await run(log, archive)] == ["26-0"]
    assert await archived(archive) == await in_stream(log)


async def test_only_entries_up_to_the_bound_are_archived(log: EventLog, tmp_path: Path) -> None:
    await add_many(log, 25)
    archive = archive_in(tmp_path, log)

    await run(log, archive, EntryId(13, 5))

    assert len(await archived(archive)) == 13
    assert await position(log) == EntryId(13, 0)


async def test_an_empty_log_leaves_nothing_behind(log: EventLog, tmp_path: Path) -> None:
    assert await run(log, archive_in(tmp_path, log)) == []

    assert names_in(tmp_path) == []
    assert await position(log) is None


async def test_what_was_trimmed_after_it_was_archived_is_no_gap(
    log: EventLog, tmp_path: Path
) -> None:
    archive = archive_in(tmp_path, log)
    await add_many(log, 20)
    before = await in_stream(log)
    await run(log, archive)
    await trim(log, 21)
    await add_many(log, 5, begin=30)

    await run(log, archive)

    assert await archived(archive) == before + await in_stream(log)


async def test_what_was_trimmed_before_it_was_archived_is_named_and_nothing_claimed(
    log: EventLog, tmp_path: Path
) -> None:
    archive = archive_in(tmp_path, log)
    await add_many(log, 20)
    await run(log, archive)
    await add_many(log, 10, begin=21)
    await trim(log, 24)

    with pytest.raises(GapError, match="3 entries after 20-0 and before 24-0"):
        await run(log, archive)

    assert await position(log) == EntryId(20, 0)
    [gap, *_] = [one.gap for one in await run(log, archive, accept_gap=True)]
    assert gap is not None
    assert (gap.after, gap.until, gap.count) == ("20-0", "24-0", 3)
    manifest = (await archive.state(0)).manifest
    assert [(one.after, one.until) for one in manifest.gaps] == [("20-0", "24-0")]
    assert manifest.added == 30
    await add_many(log, 1, begin=31)
    await trim(log, 31)
    assert [one.gap for one in await run(log, archive)] == [None]


async def test_a_log_that_was_trimmed_before_its_first_archive_has_a_gap_too(
    log: EventLog, tmp_path: Path
) -> None:
    await add_many(log, 20)
    await trim(log, 11)

    with pytest.raises(GapError, match="10 entries after 0-0"):
        await run(log, archive_in(tmp_path, log))


async def test_a_log_that_ends_before_its_archive_is_another_one(
    log: EventLog, tmp_path: Path
) -> None:
    archive = archive_in(tmp_path, log)
    await add_many(log, 20)
    await run(log, archive)
    await log.server.client.call("DEL", log.keys.events(0))
    await add_many(log, 5)

    with pytest.raises(ForeignArchiveError, match="older history"):
        await run(log, archive)


async def test_a_position_beyond_the_archive_is_set_back(log: EventLog, tmp_path: Path) -> None:
    """As when another archive was kept before: what this one lacks must not be trimmed."""
    await add_many(log, 5)
    await Positions(log.server, log.keys, 0).advance("archive", END)

    await run(log, archive_in(tmp_path, log), EntryId(3, 0))

    assert await position(log) == EntryId(3, 0)


async def test_a_run_that_finds_a_gap_at_another_place_sets_nothing_back(
    log: EventLog, tmp_path: Path
) -> None:
    await add_many(log, 20)
    await run(log, archive_in(tmp_path / "right", log))
    await trim(log, 5)

    with pytest.raises(GapError):
        await run(log, archive_in(tmp_path / "wrong", log))

    assert await position(log) == EntryId(20, 0)


async def test_a_run_tells_its_segments_and_gaps_as_the_manifest_names_them(
    log: EventLog, tmp_path: Path
) -> None:
    await add_many(log, 20)
    await trim(log, 5)
    archive = archive_in(tmp_path, log)

    written = await run(log, archive, accept_gap=True)

    manifest = (await archive.state(0)).manifest
    assert [one.segment for one in written] == manifest.segments
    assert [one.gap for one in written] == [*manifest.gaps, None]


async def test_a_clock_that_jumps_leaves_ids_that_only_rise(log: EventLog, tmp_path: Path) -> None:
    top = 2**64 - 1
    ids = ["5-0", "5-18446744073709551615", "6-0", f"{top - 1}-3", f"{top}-0", f"{top}-{top}"]
    await add(log, *ids)
    archive = archive_in(tmp_path, log, entries_max=1)

    await run(log, archive)

    assert [entry_id.decode() for entry_id, _ in await archived(archive)] == ids


async def test_a_segment_is_closed_at_its_bytes_too(log: EventLog, tmp_path: Path) -> None:
    settings = ArchiveSettings(location=str(tmp_path), segment_bytes_max=1_024)
    archive = Archive.open(settings, log.keys.namespace)
    await add_raw(log, [(b"%d-0" % ms, [b"k", b"v" * 700]) for ms in range(1, 6)])

    written = await run(log, archive)

    assert [one.segment.count for one in written] == [2, 2, 1]
    assert await archived(archive) == await in_stream(log)
