"""The entry expression: what a person wants of an entry, said in a small language of its own.

    name == "route_failed" and not (source in ("a", "b") or payload.errors[0] contains "GPU")

A path leads into the entry as JSON has it; what is not there is `null`. Literals are texts in
quotes, numbers, `true`, `false` and `null`. `==`, `!=`, `in` and `not in` compare anything; `<`,
`<=`, `>`, `>=` hold between two numbers or two texts alone; `contains` looks into a text, a list,
or the names of an object. `not` binds closest, then `and`, then `or`. A path that stands alone
holds where its value is neither null, false, 0 nor empty. Nothing is ever evaluated but this:
there are no calls and no attributes.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, NoReturn, Protocol

from events.errors import InvalidExpressionError

EXPRESSION_CHARACTERS_MAX = 1_000
DEPTH_MAX = 32
"""Brackets and `not`s within each other."""


class Record(Protocol):
    """What an expression looks into: its roots by name, None for one that is not there."""

    def get(self, name: str, /) -> Any:  # noqa: ANN401 - a value of JSON
        """Return what the root *name* is."""


Expression = Callable[[Record], bool]
_Value = Callable[[Record], Any]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)(?![\w.])
    | (?P<word>[^\W\d]\w*)
    | (?P<sign>==|!=|<=|>=|[<>()\[\],.])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_WORDS = {"and", "or", "not", "in", "contains", *_LITERALS}
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class _Token(NamedTuple):
    kind: str
    said: str
    at: int


def parse_expression(text: str, roots: Collection[str]) -> Expression:
    """Return what tells whether a record is wanted; *roots* are the names that a path begins with.

    Raises:
        InvalidExpressionError: It is too long, nested too deeply, or says nothing; the place in
            the text is named.
    """
    if len(text) > EXPRESSION_CHARACTERS_MAX:
        raise InvalidExpressionError(
            text, EXPRESSION_CHARACTERS_MAX, f"{EXPRESSION_CHARACTERS_MAX} are the most"
        )
    parser = _Parser(text, roots)
    holds = parser.either()
    parser.end()
    return lambda record: bool(holds(record))


def is_same(one: object, other: object) -> bool:
    """Whether two values of JSON are the same; `true` is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other


def is_in_order(sign: str, one: object, other: object) -> bool:
    """Whether *sign* holds between two numbers or two texts; False between all else."""
    if isinstance(one, str) and isinstance(other, str):
        return _COMPARED[sign](one, other)
    return _is_number(one) and _is_number(other) and _COMPARED[sign](one, other)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def contains(whole: object, part: object) -> bool:
    """Whether a text, a list, or an object's names have *part* in them."""
    match whole:
        case str():
            return isinstance(part, str) and part in whole
        case list():
            return any(is_same(one, part) for one in whole)
        case dict():
            return isinstance(part, str) and part in whole
    return False


class _Parser:
    """Reads by recursive descent, one method for each rule, the loosest first."""

    def __init__(self, text: str, roots: Collection[str]) -> None:
        self._text = text
        self._roots = roots
        self._tokens = self._read()
        self._next = 0
        self._depth = 0

    def _read(self) -> list[_Token]:
        tokens, at = [], 0
        while self._text[at:].strip():
            found = _TOKEN.match(self._text, at)
            if found is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                self._refuse(at, self._why_unread(self._text[at]))
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            at = found.end()
        return [*tokens, _Token("end", "", len(self._text))]

    @staticmethod
    def _why_unread(character: str) -> str:
        if character in "\"'":
            return "the quote is never closed"
        if character == "=":
            return "write == to compare"
        return f"{character!r} means nothing here"

    def _refuse(self, at: int, problem: str) -> NoReturn:
        raise InvalidExpressionError(self._text, at, problem)

    def _take(self, *said: str, kind: str | None = None) -> _Token | None:
        """Return the next token and go on, if it is one of these."""
        token = self._tokens[self._next]
        fits = token.kind == kind if kind else token.kind != "text" and token.said in said
        if not fits or (kind is None and token.kind == "end"):
            return None
        self._next += 1
        return token

    def _expect(self, said: str) -> None:
        if self._take(said) is None:
            self._expected(f"{said!r}")

    def _expected(self, what: str) -> NoReturn:
        token = self._tokens[self._next]
        found = f"{token.said!r}" if token.said else "the end"
        self._refuse(token.at, f"expected {what}, found {found}")

    def end(self) -> None:
        if self._tokens[self._next].kind != "end":
            self._expected("and, or, or the end")

    def either(self) -> _Value:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda record: any(p(record) for p in parts)

    def _both(self) -> _Value:
        parts = [self._negated()]
        while self._take("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else lambda record: all(p(record) for p in parts)

    def _negated(self) -> _Value:
        if token := self._take("not"):
            self._go_deeper(token)
            denied = self._negated()
            self._depth -= 1
            return lambda record: not denied(record)
        if token := self._take("("):
            self._go_deeper(token)
            inner = self.either()
            self._depth -= 1
            self._expect(")")
            return inner
        return self._comparison()

    def _go_deeper(self, token: _Token) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            self._refuse(token.at, f"more than {DEPTH_MAX} within each other")

    def _comparison(self) -> _Value:
        left = self._operand()
        if self._take("=="):
            right = self._operand()
            return lambda record: is_same(left(record), right(record))
        if self._take("!="):
            other = self._operand()
            return lambda record: not is_same(left(record), other(record))
        if order := self._take(*_COMPARED):
            sign, bound = order.said, self._operand()
            return lambda record: is_in_order(sign, left(record), bound(record))
        if self._take("contains"):
            part = self._operand()
            return lambda record: contains(left(record), part(record))
        return self._membership(left)

    def _membership(self, left: _Value) -> _Value:
        negated = self._take("not") is not None
        if self._take("in") is None:
            if negated:
                self._expected("in")
            return left
        self._expect("(")
        several = [self._operand()]
        while self._take(","):
            several.append(self._operand())
        self._expect(")")
        return lambda record: (
            any(is_same(left(record), one(record)) for one in several) is not negated
        )

    def _operand(self) -> _Value:
        if token := self._take(kind="text"):
            text = _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[1]), token.said[1:-1])
            return lambda _: text
        if token := self._take(kind="number"):
            number = int(token.said) if token.said.lstrip("-").isdigit() else float(token.said)
            return lambda _: number
        if token := self._take(*_LITERALS):
            literal = _LITERALS[token.said]
            return lambda _: literal
        if self._tokens[self._next].said in _WORDS:
            self._expected("a path or a value")
        token = self._take(kind="word")
        if token is None:
            self._expected("a path or a value")
        return self._path(token)

    def _path(self, root: _Token) -> _Value:
        if root.said not in self._roots:
            self._refuse(
                root.at,
                f"there is no field {root.said!r} (a text needs quotes);"
                f" a path begins with one of {', '.join(self._roots)}",
            )
        steps: list[str | int] = [root.said]
        while True:
            if self._take("."):
                step = self._take(kind="word") or self._expected("a field's name")
                steps.append(step.said)
            elif self._take("["):
                steps.append(self._step_in_brackets())
                self._expect("]")
            else:
                return lambda record: _follow(record, steps)

    def _step_in_brackets(self) -> str | int:
        if token := self._take(kind="text"):
            return _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[1]), token.said[1:-1])
        token = self._tokens[self._next]
        if token.kind != "number" or not token.said.isdigit():
            self._expected("a place such as 0, or a name in quotes")
        self._next += 1
        return int(token.said)


def _follow(record: Record, steps: list[str | int]) -> Any:  # noqa: ANN401 - a value of JSON
    root, *further = steps
    value: Any = record.get(str(root))
    for step in further:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value
