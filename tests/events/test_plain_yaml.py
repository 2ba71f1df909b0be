"""YAML 1.2, read in plain types within bounds: its core schema, and where each value stands."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.plain_yaml import BYTES_MAX, Place, UnreadableYamlError, parse_yaml, read_yaml


def value_of(scalar: str) -> object:
    return parse_yaml(f"a: {scalar}".encode()).content["a"]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *((word, word) for word in ("yes", "no", "on", "off", "y", "tRue", "NULl", "=", "0b11")),
        *((word, word) for word in ("1_000", "12:30", "190:20:30", "2024-03-01", "0o8", "1e", ".")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("null", "Null", "NULL", "~", "", "!!null ''")),
        *((word, 8) for word in ("8", "+8", "08", "008", "0o10", "0x8", "!!int '8'")),
        *((word, 1000.0) for word in ("1e3", "1.e+3", "1000.", "1000.0", "+1E3", "!!float 1000")),
        *((word, math.inf) for word in (".inf", "+.Inf", ".INF")),
        *((word, "8") for word in ("'8'", '"8"', "!!str 8")),
        ("-.inf", -math.inf),
        (".5", 0.5),
    ],
)
def test_a_scalar_means_what_the_core_schema_says(scalar: str, value: object) -> None:
    read = value_of(scalar)
    assert (read, type(read)) == (value, type(value))


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none())
def test_what_json_writes_of_a_scalar_is_read_as_the_same(value: object) -> None:
    read = value_of(json.dumps(value))
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("scalar", ["!!int x", "!!bool yes", "!!float ''", "!!null x", "9" * 101])
def test_a_scalar_that_is_not_of_its_tag_is_refused_with_its_place(scalar: str) -> None:
    with pytest.raises(UnreadableYamlError, match=r"^line 1, column 4: it is no \w+ of at"):
        value_of(scalar)


def test_two_escapes_of_half_a_character_are_one_as_in_json() -> None:
    assert value_of('"\\ud83d\\ude00!"') == "\U0001f600!"
    assert parse_yaml(b'{"\\ud83d\\ude00": 1}').content == {"\U0001f600": 1}
    with pytest.raises(UnreadableYamlError, match=r"^line 1, column 4: .* half a character"):
        value_of('"\\ud83d"')


def test_the_place_of_every_value_is_known() -> None:
    text = b"base: &base {x: 1, y-z: 2}\na:\n  - {<<: *base, x: 3}\n  - 4\n"
    plain = parse_yaml(text)
    assert plain.content == {"base": {"x": 1, "y-z": 2}, "a": [{"x": 3, "y-z": 2}, 4]}
    assert plain.places["base.y_z"] == Place(1, 20)
    assert plain.places["a"] == Place(2, 1)
    assert plain.places["a[0].x"] == Place(3, 17)
    assert plain.places["a[0].y_z"] == Place(1, 20)
    assert plain.places["a[1]"] == Place(4, 5)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b" " * (BYTES_MAX + 1))
    with pytest.raises(UnreadableYamlError, match="more than 1048576 bytes, which is the limit"):
        read_yaml(file)


@given(st.binary(max_size=200))
def test_whatever_lies_in_a_file_is_read_or_refused_in_one_line(content: bytes) -> None:
    told = ""
    try:
        parse_yaml(content)
    except UnreadableYamlError as error:
        told = str(error)
    assert "\n" not in told
