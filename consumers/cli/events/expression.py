"""Translates a condition on an entry, written as in Python, into a function.

    name == "route_failed" and not (source in ("a", "b") or "GPU" in payload.errors[0])

Python's own parser reads it; nothing is ever run as Python. Fields, values, comparisons, `and`,
`or` and `not` are translated one by one, and everything else is refused: there are no calls, no
arithmetic, no attributes of objects. `payload.x` and `payload["x"]` are the same field of the
JSON, or None if it is missing; `true`, `false` and `null` are accepted, too. A comparison of
values that have no order, such as None < 1, is false.
"""

import ast
import operator
import warnings
from collections.abc import Callable, Collection
from typing import Any, Protocol

from events.errors import InvalidExpressionError

EXPRESSION_CHARACTERS_MAX = 1_000
DEPTH_MAX = 32
"""Nested levels of `and`, `or`, `not`, comparisons and lists."""


class Record(Protocol):
    """What an expression is evaluated on."""

    def get(self, name: str, /) -> Any:  # noqa: ANN401 - a value of JSON
        """Return the field *name*, None where it is missing."""


Expression = Callable[[Record], bool]
_Value = Callable[[Record], Any]


def _is_in(part: Any, whole: Any) -> bool:  # noqa: ANN401 - values of JSON
    try:
        return part in whole
    except (TypeError, RecursionError):
        return False


_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: _is_in,
    ast.NotIn: lambda part, whole: not _is_in(part, whole),
}
_JSON_NAMES = {"true": True, "false": False, "null": None}
_HINT = "a condition is written as in Python, with == != < <= > >= in, and, or, not"


def parse_expression(text: str, roots: Collection[str]) -> Expression:
    """Return the condition that *text* states; *roots* are the names of a record's fields.

    Raises:
        InvalidExpressionError: It is longer than `EXPRESSION_CHARACTERS_MAX`, nested deeper than
            `DEPTH_MAX`, not Python, or not a condition; the error names the place in the text.
    """
    if len(text) > EXPRESSION_CHARACTERS_MAX:
        problem = f"it has {len(text)} characters, {EXPRESSION_CHARACTERS_MAX} are allowed"
        raise InvalidExpressionError(text, EXPRESSION_CHARACTERS_MAX, problem)
    value = _Translation(text, roots).value(_parse(text), DEPTH_MAX)
    return lambda record: bool(value(record))


def _parse(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # refuse what Python only warns about
            return ast.parse(_source(text), mode="eval").body
    except SyntaxError as error:
        # Python gives no offset if the text ends too early.
        at = _place(text, error.lineno or 1, error.offset - 1) if error.offset else len(text)
        problem = error.msg.partition(". ")[0]  # without the hint that Python adds
    except (ValueError, RecursionError, MemoryError) as error:
        at, problem = 0, str(error)
    raise InvalidExpressionError(text, at, f"{problem}; {_HINT}") from None


def _source(text: str) -> str:
    return text.lstrip(" \t").replace("\r", " ")


def _place(text: str, line: int, column: int) -> int:
    """Return the index in *text* of a place in its source: *line* from 1, *column* from 0."""
    source = _source(text)
    earlier = source.split("\n")[: line - 1]
    return len(text) - len(source) + sum(len(one) + 1 for one in earlier) + column


class _Translation:
    """Turns the parser's tree into functions of a record; refuses any other node."""

    def __init__(self, text: str, roots: Collection[str]) -> None:
        self._text = text
        self._roots = roots

    def value(self, node: ast.expr, levels: int) -> _Value:
        """Return the function for *node*, which may be nested *levels* deep."""
        if levels < 0:
            raise self._refusal(node, f"it is nested deeper than {DEPTH_MAX} levels")
        if operands := _operands(node):
            return _combined(node, [self.value(operand, levels - 1) for operand in operands])
        match node:
            case ast.Name(name) if name in _JSON_NAMES:
                pass
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._path(node)
        literal = self._literal(node)
        return lambda _record: literal

    def _path(self, node: ast.expr) -> _Value:
        """Return the function that follows a path of any length into the JSON."""
        steps: list[bool | float | str | None] = []
        while not isinstance(node, ast.Name):
            match node:
                case ast.Attribute(inner, name):
                    steps.insert(0, name)
                case ast.Subscript(inner, index):
                    steps.insert(0, self._literal(index))
                case _:
                    raise self._refusal(node, f"a path begins with one of {', '.join(self._roots)}")
            node = inner
        root = node.id
        if root not in self._roots:
            fields = ", ".join(self._roots)
            raise self._refusal(
                node, f"no field is named {root!r}, and a text needs quotes; use {fields}"
            )
        return lambda record: _follow(record.get(root), steps)

    def _literal(self, node: ast.expr) -> bool | float | str | None:
        match node:
            case ast.Constant(None | bool() | int() | float() | str() as value):
                return value
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)):
                return -number
            case ast.Name(name) if name in _JSON_NAMES:
                return _JSON_NAMES[name]
        raise self._refusal(node, f"this is not allowed; {_HINT}")

    def _refusal(self, node: ast.expr, problem: str) -> InvalidExpressionError:
        # The parser counts bytes in a line, a person counts characters.
        line = _source(self._text).split("\n")[node.lineno - 1].encode()
        column = len(line[: node.col_offset].decode())
        return InvalidExpressionError(self._text, _place(self._text, node.lineno, column), problem)


def _operands(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.BoolOp(values=operands) | ast.Tuple(operands) | ast.List(operands):
            return operands
        case ast.UnaryOp(ast.Not(), operand):
            return [operand]
        case ast.Compare(left, signs, others) if all(type(sign) in _COMPARISONS for sign in signs):
            return [left, *others]
    return []


def _combined(node: ast.expr, operands: list[_Value]) -> _Value:
    match node:
        case ast.BoolOp(ast.And()):
            return lambda record: all(operand(record) for operand in operands)
        case ast.BoolOp():
            return lambda record: any(operand(record) for operand in operands)
        case ast.UnaryOp():
            return lambda record: not operands[0](record)
        case ast.Compare(ops=signs):
            compares = [_COMPARISONS[type(sign)] for sign in signs]
            pairs = list(zip(compares, operands, operands[1:], strict=False))
            return lambda record: all(
                _holds(compare, left(record), right(record)) for compare, left, right in pairs
            )
    return lambda record: [operand(record) for operand in operands]


def _holds(compare: Callable[[Any, Any], bool], left: object, right: object) -> bool:
    try:
        return compare(left, right)
    except (TypeError, RecursionError):
        return False


def _follow(value: Any, steps: list[Any]) -> Any:  # noqa: ANN401 - values of JSON
    for step in steps:
        try:
            value = value[step]
        except (TypeError, LookupError):
            return None
    return value
