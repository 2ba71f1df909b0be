import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import END, START, EntryId
from events.errors import InvalidPositionError
from tests.events.support.strategies import entry_ids


@given(entry_ids)
def test_an_entry_id_reads_back_from_its_text_and_its_bytes(entry_id: EntryId) -> None:
    assert EntryId.parse(str(entry_id)) == EntryId.parse(str(entry_id).encode()) == entry_id


@given(entry_ids, entry_ids)
def test_ids_are_ordered_as_pairs_of_numbers_not_as_texts(one: EntryId, other: EntryId) -> None:
    assert (one < other) == ((one.ms, one.seq) < (other.ms, other.seq))


def test_nine_comes_before_ten() -> None:
    assert EntryId.parse("9-10") < EntryId.parse("10-9")
    assert EntryId.parse("9-9") < EntryId.parse("9-10")


@given(entry_ids.filter(lambda entry_id: entry_id < END), entry_ids)
def test_nothing_lies_between_an_id_and_the_one_after_it(one: EntryId, other: EntryId) -> None:
    assert one < one.after()
    assert not one < other < one.after()


def test_after_the_last_of_a_millisecond_comes_the_next_millisecond() -> None:
    assert EntryId(5, 2**64 - 1).after() == EntryId(6, 0)


@given(entry_ids)
def test_every_id_lies_between_start_and_end(entry_id: EntryId) -> None:
    assert START <= entry_id <= END


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "5",
        "5-",
        "-5",
        "5-x",
        "1-2-3",
        " 1-2",
        "1-2\n",
        "+1-2",
        "1--2",
        "1_0-2",
        "\u0663-0",
        "²-1",
    ],
)
def test_what_is_not_an_entry_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidPositionError, match="an entry id is <ms>-<seq>"):
        EntryId.parse(text)
    with pytest.raises(InvalidPositionError, match="an entry id is <ms>-<seq>"):
        EntryId.parse(text.encode())


@pytest.mark.parametrize("text", [f"{2**64}-0", f"0-{2**64}", "9" * 5_000 + "-0"])
def test_a_half_of_more_than_64_bits_is_refused(text: str) -> None:
    with pytest.raises(InvalidPositionError):
        EntryId.parse(text)


@given(st.text() | st.binary())
def test_anything_is_an_entry_id_or_refused(text: str | bytes) -> None:
    try:
        entry_id = EntryId.parse(text)
    except InvalidPositionError:
        return
    shown = text if isinstance(text, str) else text.decode()
    assert [int(half) for half in shown.split("-")] == list(entry_id)
