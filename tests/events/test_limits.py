import re
from typing import Annotated, Any

import pytest
from msgspec import Meta
from msgspec.structs import replace

from events.limits import Limited


class Sample(Limited, frozen=True):
    count: Annotated[int, Meta(ge=1, le=9)] = 1
    ratio: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    wait_s: Annotated[float, Meta(ge=2)] | None = None
    names: Annotated[tuple[str, ...], Meta(max_length=2)] = ()
    word: Annotated[str, Meta(min_length=3)] = "kept"
    name: Annotated[str, Meta(pattern=r"^[a-z]+\Z(?#have letters only)")] | None = None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"count": 10}, "count must be at most 9, got 10"),
        ({"ratio": 0.0}, "ratio must be more than 0, got 0.0"),
        ({"ratio": 1}, "ratio must be less than 1, got 1"),
        ({"ratio": float("nan")}, "ratio must be more than 0, got nan"),
        ({"wait_s": 1}, "wait_s must be at least 2, got 1"),
        ({"names": ("a", "b", "c")}, "names must have a length of at most 2, got 3"),
        ({"word": "xy"}, "word must have a length of at least 3, got 2"),
        ({"name": "not shown"}, "name must have letters only"),
        ({"count": True}, "count must be a whole number, got true or false"),
        ({"names": ("a", 2)}, "names must be text, got a whole number"),
    ],
)
def test_a_program_that_breaks_a_limit_is_told_field_limit_and_value(
    given: dict[str, Any], sentence: str
) -> None:
    whole = f"^{re.escape(sentence)}$"
    with pytest.raises(ValueError, match=whole):
        Sample(**given)
    with pytest.raises(ValueError, match=whole):
        replace(Sample(), **given)


def test_what_lies_on_a_limit_is_taken() -> None:
    assert Sample(9, 0.99, 2, ("a", "b"), "abc").count == 9
    assert Sample(wait_s=None).wait_s is None
