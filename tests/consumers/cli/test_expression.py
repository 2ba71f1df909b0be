"""The conditions of `--where`: what they mean, where they are refused, and that nothing runs."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.cli.events.entry_filter import EntryFilter
from consumers.cli.events.expression import (
    DEPTH_MAX,
    EXPRESSION_CHARACTERS_MAX,
    parse_expression,
)
from consumers.cli.terminal.entry_reading import EXPRESSION_ROOTS
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import InvalidExpressionError

ROOTS = ("name", "source", "partition", "payload", "fields")
RECORD: dict[str, Any] = {
    "name": "model_service_status_updated",
    "source": "checker",
    "partition": 0,
    "payload": {
        "new_status": "unhealthy",
        "consecutive_failures": 10,
        "ratio": 0.25,
        "open": True,
        "reason": None,
        "errors": ["no GPU", "no disk"],
        "routes": [{"app": "chat"}, {"app": "embed"}],
        'odd "name"': 1,
    },
}


def holds(text: str) -> bool:
    return parse_expression(text, ROOTS)(RECORD)


@pytest.mark.parametrize(
    "text",
    [
        'payload.new_status == "unhealthy"',
        "payload.new_status == 'unhealthy'",
        'payload.new_status != "healthy"',
        'name in ("x", "model_service_status_updated")',
        'source not in ("x", "y")',
        "payload.consecutive_failures >= 10 and payload.consecutive_failures < 11",
        "payload.ratio == 0.25 and payload.ratio > 2e-1 and payload.ratio > -1",
        '"no GPU" in payload.errors and "no GPU" not in payload.routes',
        '"disk" in payload.errors[1] and payload.errors[-1] == "no disk"',
        'payload.routes[1].app == "embed"',
        '"ratio" in payload and "x" not in payload and "x" not in payload.nothing',
        'payload.errors == ["no GPU", "no disk"]',
        "0 < payload.ratio <= 0.25",
        "payload.nothing >= 10 or payload.open",
        "payload.nothing[0] == None and payload.open == True",
        "payload.reason == null and payload.nothing.at.all == null and payload[7] == null",
        'payload["new_status"] > "a"',
        r'payload["odd \"name\""] == 1',
        "payload.open and not payload.reason and not partition",
        "payload.open == true and not payload.nothing == false",
        "not name == 'x' and not not payload.open",
        "partition == 1 or partition == 0 and payload.open",
        "(partition == 0 or payload.open) and (source == 'checker')",
        "partition in (0, payload.ratio)",
        "  payload . errors [ 0 ]  ==  'no GPU'  ",
    ],
)
def test_what_is_so_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "payload.new_status == null",
        'payload.ratio < "1"',
        "payload.reason < 1",
        "0.25 < payload.ratio < 1",
        "payload.routes < payload.reason",
        "payload.errors < 3",
        "partition == '0'",
        "2 in payload.ratio",
        "true in payload.errors",
        "payload.errors in payload",
        "1 in source",
        "'x' in source or name == 'x'",
        "(partition == 1 or payload.open) and source == 'x'",
        "payload.routes[2].app",
        "payload.reason.x.y",
        "fields",
    ],
)
def test_what_is_not_so_does_not_hold(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("", 1, "invalid syntax; a condition is written as in Python"),
        ("payload.x ==", 13, "invalid syntax"),
        ("payload.x = 1", 11, "with == != <"),
        ("payload.x == 'a", 14, "unterminated"),
        ("  name == 'a' x", 15, "invalid syntax"),
        ("(name == 'a' or\n'b", 17, "unterminated"),
        ("paylod.x == 1", 1, "no field is named 'paylod'"),
        ("name == chat", 9, "a text needs quotes"),
        ("  (name == 'ö' or\nchat)", 19, "no field is named 'chat'"),
        ("name == 'ö' or chat", 16, "no field is named 'chat'"),
        ("name == 'a' source", 13, "invalid syntax"),
        ("(name == 'a'", 1, "never closed"),
        ("name in ()", 9, "not allowed"),
        ("(name contains 'a')", 2, "invalid syntax; a condition"),
        ("name contains 'a'", 6, "in, and, or, not"),
        ("name == 'a' && source == 'b'", 14, "in, and, or, not"),
        ("payload.1", 8, "invalid syntax"),
        ("payload[1:2]", 9, "not allowed"),
        ("payload[name]", 9, "not allowed"),
        ("'a'.x == 1", 1, "a path begins with one of name, source"),
        ("name is 'a'", 1, "is"),
        (r"name == '\q'", 9, "escape"),
        ("name == 'a' or", 15, "invalid syntax"),
        ("name == b'a'", 9, "not allowed"),
        ("name == 1j", 9, "not allowed"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(text: str, at: int, said: str) -> None:
    with pytest.raises(InvalidExpressionError) as refused:
        parse_expression(text, ROOTS)
    assert f"character {at}: " in str(refused.value), str(refused.value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "payload.__class__.__mro__()",
        "().__class__",
        "[].__class__ == 1",
        "lambda: 1",
        "name if name else 1",
        "payload.get('x')",
        "name == f'{1+1}'",
        "name; import os",
        "1 + 1",
        "name := 1",
        "name == `a`",
        "payload['a'](1)",
        "*name",
        "eval",
        "name == '%s' % source",
        "name ** 99999",
        "[name for name in payload]",
        "{name: 1}",
        "await name",
        "name == '\\0'\0",
    ],
)
def test_code_of_another_language_is_refused(text: str) -> None:
    with pytest.raises(InvalidExpressionError):
        parse_expression(text, ROOTS)


def test_a_path_leads_to_no_attributes() -> None:
    for path in ("payload.__class__", "name.__len__", "payload.keys", "payload['__class__'].mro"):
        assert holds(f"{path} == null")


def test_the_conditions_of_the_documentation_can_be_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "json.md").read_text("utf-8")
    conditions = page.partition("(`--where`)")[2].split("```")[1].split("\n")[1:-1]
    assert len(conditions) == 3
    for condition in conditions:
        parse_expression(condition, EXPRESSION_ROOTS)


def test_length_and_depth_are_bounded() -> None:
    parse_expression("name" + " " * (EXPRESSION_CHARACTERS_MAX - 4), ROOTS)
    deep = "not " * DEPTH_MAX
    assert parse_expression(f"{deep}name", ROOTS)(RECORD)
    for text in (
        "name" + " " * EXPRESSION_CHARACTERS_MAX,
        f"{deep}not name",
        "(" * 300 + "name" + ")" * 300,
        "(name or " * 50 + "name and name" + ")" * 50,
    ):
        with pytest.raises(InvalidExpressionError):
            parse_expression(text, ROOTS)
    assert parse_expression("payload" + ".x" * 490 + " == null", ROOTS)(RECORD)


def nested(levels: int) -> Any:  # noqa: ANN401 - lists within lists
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def test_values_too_deep_to_compare_do_not_match() -> None:
    record = {"name": "a", "payload": nested(100_000), "source": nested(100_000)}
    for text in ("payload == source", "payload < source", "payload in source", "payload[0] == 1"):
        assert not parse_expression(text, ROOTS)(record)
        assert parse_expression(f"{text} or name == 'a'", ROOTS)(record)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff{",
        b"[1, 2]",
        b"null",
        b'{"name": NaN}',
        b'{"name": "chat"}',
        b'{"endpoint_id": "7ccd26ec-0000-4000-8000-000000000001", "x": %b}'
        % (b"[" * 5_000 + b"]" * 5_000),
    ],
)
@pytest.mark.parametrize("name", [b"endpoint_created", b"told_by_another", b"\xff"])
def test_an_odd_entry_does_not_match(name: bytes, payload: bytes) -> None:
    odd = Entry(EntryId(1, 0), 0, {b"name": name, b"payload": payload, b"": b"\xff"})
    for where in ('payload.name == "chat"', "payload.x[0] > 1", 'name == "chat" and payload.name'):
        assert not EntryFilter.parse(where=where).wants(odd)
    assert EntryFilter.parse(where="payload.x > 1 or entry_id == '1-0'").wants(odd)


# An evaluator that shares nothing with the one that is tested: a tree, its text, and its truth.

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(-5, 5).map(lambda f: round(f, 2)),
    st.text("ab'\"\\ \n", max_size=3),
)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=2), max_leaves=3)
records = st.fixed_dictionaries({"name": values, "source": values, "payload": values})
literals = scalars.map(lambda value: ("value", value))
paths = st.sampled_from([("path", root) for root in ("name", "source", "payload", "partition")])
operands = literals | paths
comparisons = st.tuples(
    st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]),
    operands,
    operands,
)
trees = st.recursive(
    comparisons | paths.map(lambda path: ("bare", path)),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=8,
)


def written(tree: Any) -> str:  # noqa: ANN401, PLR0911 - a case for each sign
    match tree:
        case ("value", str() as text):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case ("value", value):
            return json.dumps(value)
        case ("path", path):
            return str(path)
        case ("bare", path):
            return written(path)
        case ("not", inner):
            return f"not ({written(inner)})"
        case ("and" | "or" as sign, left, right):
            return f"({written(left)}) {sign} ({written(right)})"
        case (sign, left, right):
            return f"{written(left)} {sign} {written(right)}"
    raise AssertionError(tree)


def truth(tree: Any, record: dict[str, Any]) -> Any:  # noqa: ANN401, C901, PLR0911 - a case for each sign
    match tree:
        case ("value", value):
            return value
        case ("path", path):
            return record.get(path)
        case ("bare", path):
            return truth(path, record) not in (None, False, 0, "", [])
        case ("not", inner):
            return not truth(inner, record)
        case ("and", left, right):
            return truth(left, record) and truth(right, record)
        case ("or", left, right):
            return truth(left, record) or truth(right, record)
        case ("!=" | "not in" as sign, left, right):
            return not truth(("==" if sign == "!=" else "in", left, right), record)
    sign, one, other = tree[0], truth(tree[1], record), truth(tree[2], record)
    if sign == "==":
        return one == other
    if sign == "in":
        if isinstance(other, str):
            return isinstance(one, str) and other.find(one) >= 0
        return isinstance(other, list) and other.count(one) > 0
    if not is_ordered(one, other):
        return False
    lower, higher = (one, other) if sign in {"<", "<="} else (other, one)
    return min(higher, lower) == lower and (one != other or "=" in sign)


def is_ordered(one: Any, other: Any) -> bool:  # noqa: ANN401 - values of JSON
    """Whether both are numbers, both texts, or lists that differ first in such."""
    if isinstance(one, list) and isinstance(other, list):
        differing = [pair for pair in zip(one, other, strict=False) if pair[0] != pair[1]]
        return not differing or is_ordered(*differing[0])
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return numbers or (isinstance(one, str) and isinstance(other, str))


@given(trees, records)
def test_every_expression_means_what_an_independent_evaluator_says(
    tree: Any,  # noqa: ANN401 - a tree
    record: dict[str, Any],
) -> None:
    text = written(tree)
    if len(text) <= EXPRESSION_CHARACTERS_MAX:
        assert parse_expression(text, ROOTS)(record) == bool(truth(tree, record)), text


@given(st.text(max_size=60) | st.text("()[]'\"\\ =<>!.,andorti1-", max_size=60))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    with suppress(InvalidExpressionError):
        parse_expression(text, ROOTS)(RECORD)
