"""Read YAML 1.2 in plain types, within bounds, and with the place of each value in its file."""

import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

BYTES_MAX = 1_048_576
"""Maximum bytes of a file."""

DEPTH_MAX = 32
"""Maximum depth to which lists and mappings may be nested."""

NODES_MAX = 10_000
"""Maximum number of keys and values; what an alias repeats is counted again."""

DIGITS_MAX = 100
"""Maximum characters of a number."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_COMPOSED = ("str", "seq", "map")
_FLOAT = (
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_CORE = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("merge", r"<<", "<"),
)
"""The core schema of YAML 1.2, and the merge key of 1.1, which its users kept."""


class Place(NamedTuple):
    """Where a value begins in its file, counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class UnreadableYamlError(ValueError):
    """It is no YAML, or breaks a limit; the message names line and column, and shows no value."""

    def __init__(self, problem: str, place: Place | None = None) -> None:
        super().__init__(problem if place is None else f"{place}: {problem}")
        self.problem = problem
        self.place = place


class PlainYaml(msgspec.Struct, frozen=True):
    """The content of a file in plain types, and where its values stand.

    Attributes:
        content: Null, true or false, numbers, text, lists and mappings.
        places: The place of each value by its path, such as `models[0].service.port`, with
            underscores for hyphens; a value of a mapping stands where its key does.
    """

    content: Any
    places: Mapping[str, Place]


def read_yaml(file: Path) -> PlainYaml:
    """Return the content of *file*.

    Raises:
        UnreadableYamlError: It is no YAML, or breaks a limit.
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        return parse_yaml(opened.read(BYTES_MAX + 1))


def parse_yaml(content: bytes) -> PlainYaml:
    """Return *content* in plain types.

    Raises:
        UnreadableYamlError: It is no YAML, or breaks a limit.
    """
    if len(content) > BYTES_MAX:
        raise UnreadableYamlError(f"it has more than {BYTES_MAX} bytes, which is the limit")
    try:
        loader = _Loader(content)
        node = loader.get_single_node()
        plain = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(error) from None
    return PlainYaml(plain, {} if node is None else dict(_places(node, "", node.start_mark)))


class _Loader(yaml.SafeLoader):
    """SafeLoader with the core schema of YAML 1.2, and with bounds on depth and aliases."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's way
    yaml_constructors = {  # noqa: RUF012 - PyYAML's way
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in _COMPOSED
    }

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._depth = 0
        self._nodes = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._nodes
        self._depth += 1
        self._nodes += 1 + (self._repeated(event) if isinstance(event, yaml.AliasEvent) else 0)
        if self._depth > DEPTH_MAX:
            raise _refusal(f"nested deeper than {DEPTH_MAX} levels, which is the limit", event)
        if self._nodes > NODES_MAX:
            raise _refusal(f"more than {NODES_MAX} keys and values, which is the limit", event)
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and _SURROGATE.search(node.value):
            node.value = _whole_characters(node)
        self._depth -= 1
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._sizes.setdefault(event.anchor, self._nodes - before)
        return node

    def _repeated(self, alias: yaml.AliasEvent) -> int:
        if alias.anchor in self.anchors and alias.anchor not in self._sizes:
            raise _refusal(f"the alias *{alias.anchor} stands within what it names", alias)
        return self._sizes.get(str(alias.anchor), 0)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 - PyYAML's
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen = set()
        for key in keys:
            if key.value in seen:
                name = reprlib.repr(key.value)
                raise _refusal(f"the key {name} is given twice, the limit is once", key)
            seen.add(key.value)
        return node

    def construct_core(self, node: yaml.ScalarNode) -> object:
        """Return the value of a scalar of the core schema."""
        kind, text = node.tag.removeprefix(_TAG), node.value
        pattern = next(pattern for name, pattern, _ in _CORE if name == kind)
        if len(text) > DIGITS_MAX or not re.fullmatch(pattern, text):
            raise _refusal(f"it is no {kind} of at most {DIGITS_MAX} characters", node)
        lower = text.lower()
        match kind:
            case "null":
                return None
            case "bool":
                return lower == "true"
            case "int":
                bases = {"0o": 8, "0x": 16}
                return int(lower[2:], bases[lower[:2]]) if lower[:2] in bases else int(lower)
            case _:
                return float(lower.replace(".inf", "inf").replace(".nan", "nan"))


for _kind, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"^(?:{_pattern})\Z"), [*_first])
    if _kind != "merge":
        _Loader.add_constructor(f"{_TAG}{_kind}", _Loader.construct_core)
_Loader.add_implicit_resolver(f"{_TAG}null", re.compile(r"^\Z"), [""])


def _whole_characters(node: yaml.ScalarNode) -> str:
    """Return the text in which JSON's escapes of two halves are one character each."""
    try:
        return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _refusal(
            "an escape stands for half a character, and the other half is not", node
        ) from None


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401 - an event or a node
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _unreadable(error: Exception) -> UnreadableYamlError:
    """Return an error that says what is wrong, and where; not what stands there."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return UnreadableYamlError(" ".join(str(error).split()))
    mark = error.problem_mark
    problem = error.problem or error.context or "it is no YAML"
    return UnreadableYamlError(problem, Place(mark.line + 1, mark.column + 1))


def _places(node: yaml.Node, path: str, mark: Any) -> Iterator[tuple[str, Place]]:  # noqa: ANN401 - PyYAML's
    yield path, Place(mark.line + 1, mark.column + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _places(item, f"{path}[{number}]", item.start_mark)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                name = key.value.replace("-", "_")
                yield from _places(value, f"{path}.{name}".lstrip("."), key.start_mark)
