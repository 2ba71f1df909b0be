from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import END, START, EntryId
from events.entry.position import parse_position, parse_range, time_of
from events.errors import InvalidPositionError
from tests.events.support.strategies import entry_ids, times

NOW = datetime(2026, 1, 31, 22, 0, 0, tzinfo=UTC)
NOW_MS = 1_769_896_800_000


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("start", START),
        ("end", END),
        ("17-3", EntryId(17, 3)),
        ("2026-01-31T22:00:00Z", EntryId(NOW_MS, 0)),
        ("2026-01-31T22:00:00.123Z", EntryId(NOW_MS + 123, 0)),
        ("2026-02-01T07:00:00+09:00", EntryId(NOW_MS, 0)),
        ("2026-01-31 22:00:00Z", EntryId(NOW_MS, 0)),
        ("2026-01-31 22:00:00 UTC", EntryId(NOW_MS, 0)),
        ("2026-01-31 22:00:00.123 UTC", EntryId(NOW_MS + 123, 0)),
        ("2026-02-01 07:00:00.123 +0900", EntryId(NOW_MS + 123, 0)),
        ("-1h 30m", EntryId(NOW_MS - 5_400_000, 0)),
        ("-1h30m", EntryId(NOW_MS - 5_400_000, 0)),
        ("1969-12-31T23:59:59Z", START),
        ("-0s", EntryId(NOW_MS, 0)),
        ("-90s", EntryId(NOW_MS - 90_000, 0)),
        ("-5m", EntryId(NOW_MS - 300_000, 0)),
        ("-2h", EntryId(NOW_MS - 7_200_000, 0)),
        ("-1d", EntryId(NOW_MS - 86_400_000, 0)),
        ("-999999999999d", START),
    ],
)
def test_the_grammar_of_positions(text: str, position: EntryId) -> None:
    assert parse_position(text, NOW) == position


@pytest.mark.parametrize(
    "text",
    [
        *("", "START", "now", "yesterday", "5", "5-0\n", "\u0663-0", "2026-13-01T00:00:00Z"),
        *("-2", "-h", "2h", "-2w", "-2h ", "-2h\n", "-\u0662h", "-" + "9" * 5_000 + "h"),
    ],
)
def test_what_is_no_position_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(InvalidPositionError, match="expected start, end, an entry id"):
        parse_position(text, NOW)


@pytest.mark.parametrize("text", ["2026-01-31T22:00:00", "2026-01-31"])
def test_a_time_without_its_zone_is_refused_and_told_so(text: str) -> None:
    with pytest.raises(InvalidPositionError, match="a time needs its zone"):
        parse_position(text, NOW)


def test_an_entry_id_that_is_too_large_says_so() -> None:
    with pytest.raises(InvalidPositionError, match="64 bits"):
        parse_position(f"{2**64}-0", NOW)


@given(times)
def test_a_time_stands_for_the_first_entry_that_could_be_appended_at_it(time: datetime) -> None:
    position = parse_position(time.isoformat(), NOW)
    assert position.seq == 0
    assert time_of(position) <= time < time_of(position) + timedelta(milliseconds=1)


@given(st.integers(0, 4_000_000_000_000))
def test_the_time_of_an_entry_reads_back_as_its_millisecond(ms: int) -> None:
    assert parse_position(time_of(EntryId(ms, 7)).isoformat(), NOW) == EntryId(ms, 0)


@given(entry_ids)
def test_every_entry_id_is_a_position(entry_id: EntryId) -> None:
    assert parse_position(str(entry_id), NOW) == entry_id


@given(entry_ids, entry_ids)
def test_a_range_is_read_as_its_two_ends(one: EntryId, other: EntryId) -> None:
    first, last = sorted([one, other])
    assert parse_range(f"{first}..{last}", NOW) == (first, last)
    assert parse_range(f"{first}..", NOW) == parse_range(str(first), NOW) == (first, END)
    assert parse_range(f"..{last}", NOW) == (START, last)
    if first != last:
        with pytest.raises(InvalidPositionError):
            parse_range(f"{last}..{first}", NOW)


def test_a_range_takes_every_kind_of_position() -> None:
    hour, half = EntryId(NOW_MS - 3_600_000, 0), EntryId(NOW_MS - 1_800_000, 0)
    assert parse_range("-1h..-30m", NOW) == (hour, half)
    assert parse_range("2026-01-31T21:00:00Z..end", NOW) == (hour, END)
    assert parse_range("..", NOW) == (START, END)


@given(st.text(max_size=30))
def test_any_text_is_a_range_or_is_refused(text: str) -> None:
    try:
        start, end = parse_range(text, NOW)
    except InvalidPositionError:
        return
    assert start <= end
