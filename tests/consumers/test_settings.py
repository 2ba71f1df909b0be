from collections.abc import Iterator
from functools import reduce
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec import inspect

from consumers.runtime.outcome import RetryPolicy
from consumers.settings import InvalidSettingsError, Settings, read_settings

Number = inspect.IntType | inspect.FloatType


def numbers(kind: type[msgspec.Struct], *path: str) -> Iterator[tuple[tuple[str, ...], Number]]:
    """Find every number that can be set, with the path to it."""
    about = inspect.type_info(kind)
    assert isinstance(about, inspect.StructType)
    for field in about.fields:
        is_union = isinstance(field.type, inspect.UnionType)
        for one in field.type.types if isinstance(field.type, inspect.UnionType) else [field.type]:
            if isinstance(one, inspect.StructType):
                assert not is_union
                yield from numbers(one.cls, *path, field.name)
            elif isinstance(one, Number):
                yield (*path, field.name), one


NUMBERS = dict(numbers(Settings))


def part_of(path: tuple[str, ...]) -> msgspec.Struct:
    part: msgspec.Struct = reduce(getattr, path[:-1], Settings())
    return part


def beyond(limit: float, by: float, number: Number) -> float:
    return limit + (1 if isinstance(number, inspect.IntType) else 0.0001) * by


def test_the_numbers_that_can_be_set_are_found() -> None:
    assert len(NUMBERS) > 30
    assert {("consumer", "policy", "first_s"), ("retention", "keep_s")} < NUMBERS.keys()


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_every_number_has_a_floor_and_a_ceiling_however_it_is_set(
    path: tuple[str, ...], tmp_path: Path
) -> None:
    number = NUMBERS[path]
    assert number.ge is not None
    assert number.le is not None
    file = tmp_path / "settings.yaml"
    for value, told in (
        (beyond(number.ge, -1, number), "at least"),
        (beyond(number.le, 1, number), "at most"),
        *([(-inf, "at least"), (inf, "at most")] if isinstance(number, inspect.FloatType) else []),
    ):
        sentence = rf"{path[-1]} must be {told} [\d.]+, got {value}"
        with pytest.raises(ValueError, match=rf"^{sentence}$"):
            msgspec.structs.replace(part_of(path), **{path[-1]: value})
        given: Any = value
        for name in reversed(path):
            given = {name: given}
        file.write_text(yaml.safe_dump(given))
        where = r"\.".join(path[:-1])
        from_file = rf"^setting {where}\.?{sentence} \(.*settings\.yaml, line \d, column \d+\)$"
        with pytest.raises(InvalidSettingsError, match=from_file):
            read_settings(file, {})
        variable = "_".join(("ROUTESTREAM", *path)).upper()
        from_variable = rf"^setting {where}\.?{path[-1]} must be .* \({variable}\)$"
        with pytest.raises(InvalidSettingsError, match=from_variable):
            read_settings(None, {variable: str(value)})


def test_what_is_not_set_of_a_part_keeps_the_default_of_that_part(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("webhook: {policy: {first_s: 2}}\nserver: {}")
    policies = read_settings(file, {"ROUTESTREAM_CONSUMER_POLICY_TRIES_MAX": "7"})

    assert policies.webhook.policy == RetryPolicy(tries_max=10, first_s=2.0, most_s=60.0)
    assert policies.consumer.policy == RetryPolicy(tries_max=7, first_s=0.1, most_s=10.0)
    assert read_settings(None, {}) == Settings()
