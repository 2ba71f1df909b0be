"""The language of `--where`: what it means, where it refuses, and that nothing else runs."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.cli.events.expression import (
    DEPTH_MAX,
    EXPRESSION_CHARACTERS_MAX,
    parse_expression,
)
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
        'payload.errors contains "no GPU"',
        'payload.errors[1] contains "disk"',
        'payload.routes[1].app == "embed"',
        'payload contains "ratio"',
        "payload.reason == null and payload.nothing.at.all == null and payload[7] == null",
        'payload["new_status"] > "a"',
        r'payload["odd \"name\""] == 1',
        "payload.open and not payload.reason and not partition",
        "payload.open == true and payload.open != 1 and partition != false",
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
        "payload.open < 2",
        "payload.errors < 3",
        "partition == '0'",
        "payload.ratio contains 2",
        "payload.errors contains true",
        "source contains 'x' or name == 'x'",
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
        ("", 1, "a path or a value"),
        ("payload.x ==", 13, "found the end"),
        ("payload.x = 1", 11, "write =="),
        ("payload.x == 'a", 14, "never closed"),
        ("paylod.x == 1", 1, "no field 'paylod'"),
        ("name == chat", 9, "a text needs quotes"),
        ("name == 'a' source", 13, "expected and, or, or the end"),
        ("(name == 'a'", 13, "expected ')'"),
        ("name in 'a'", 9, "expected '('"),
        ("name in ()", 10, "a path or a value"),
        ("name not 'a'", 10, "expected in"),
        ("payload.1", 9, "a field's name"),
        ("payload[-1]", 9, "a place such as 0"),
        ("payload[1.5]", 9, "a place such as 0"),
        ("name ~ 'a'", 6, "means nothing"),
        ("and", 1, "a path or a value"),
        ("1 == 1abc", 6, "means nothing"),
        ("name == 'a' or", 15, "a path or a value"),
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
        "name == 'a' # comment",
        "1 + 1",
        "name := 1",
        "name == `a`",
        "payload['a'](1)",
        "*name",
        "eval",
    ],
)
def test_code_of_another_language_is_refused(text: str) -> None:
    with pytest.raises(InvalidExpressionError):
        parse_expression(text, ROOTS)


def test_a_path_leads_to_no_attributes() -> None:
    for path in ("payload.__class__", "name.__len__", "payload.keys", "source.upper"):
        assert holds(f"{path} == null")


def test_length_and_depth_are_bounded() -> None:
    parse_expression("name" + " " * (EXPRESSION_CHARACTERS_MAX - 4), ROOTS)
    deep = "not " * DEPTH_MAX
    assert parse_expression(f"{deep}name", ROOTS)(RECORD)
    for text in (
        "name" + " " * EXPRESSION_CHARACTERS_MAX,
        f"{deep}not name",
        "(" * (DEPTH_MAX + 1) + "name" + ")" * (DEPTH_MAX + 1),
    ):
        with pytest.raises(InvalidExpressionError):
            parse_expression(text, ROOTS)


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
    st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "contains", "in", "not in"]),
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
        case ("in" | "not in" as sign, left, right):
            return f"{written(left)} {sign} ({written(right)})"
        case ("and" | "or" as sign, left, right):
            return f"({written(left)}) {sign} ({written(right)})"
        case (sign, left, right):
            return f"{written(left)} {sign} {written(right)}"
    raise AssertionError(tree)


def kind_of(value: Any) -> str:  # noqa: ANN401 - a value of JSON
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "number" if isinstance(value, int | float) else type(value).__name__


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
    same_kind = kind_of(one) == kind_of(other)
    if sign in {"==", "in"}:
        return same_kind and one == other
    if sign == "contains":
        if isinstance(one, list):
            return any(kind_of(e) == kind_of(other) and e == other for e in one)
        return same_kind and kind_of(one) == "str" and one.find(other) >= 0
    if not same_kind or kind_of(one) not in {"number", "str"}:
        return False
    lower, higher = (one, other) if sign in {"<", "<="} else (other, one)
    return min(higher, lower) == lower and (one != other or "=" in sign)


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
