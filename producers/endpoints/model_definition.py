"""Load model definitions: files in models' folders that say how the models are served.

The functions below find, read, validate and resolve one in separate steps, in that order.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from events.catalogue.health_check import INTERVAL_MIN_S, HealthCheck
from events.entry.codec import invalid_event
from producers.endpoints.runtime_variant import CUSTOM, runtime_variant
from producers.errors import InvalidModelDefinitionError

FILE_NAMES = ("model-definition.yaml", "model-definition.yml")
"""The names that the file may have, in the order in which they are tried."""

DEFINITION_BYTES_MAX = 1_048_576
"""Maximum bytes of a model definition."""

DEPTH_MAX = 32
"""Maximum depth to which lists and mappings may be nested in a model definition."""

NODES_MAX = 10_000
"""Maximum number of its keys and values; what an alias repeats is counted again."""

_NESTED = frozenset({"models", "service", "pre_start_actions", "health_check", "metadata"})
_HEALTH_CHECK_FIELDS = frozenset({*HealthCheck.__struct_fields__, "enable"})
_PLAIN = frozenset({"null", "bool", "int", "float", "str", "seq", "map", "merge"})
_TAG = "tag:yaml.org,2002:"

Name = Annotated[str, Meta(min_length=1)]


class PreStartAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One action in the session before the model server starts."""

    action: Name
    args: dict[str, Any] = {}


class ModelService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model server is started, where it listens, how its health is checked."""

    port: Annotated[int, Meta(ge=1, le=65_535)]
    start_command: str | list[str] | None = None
    shell: str = "/bin/bash"
    pre_start_actions: list[PreStartAction] = []
    health_check: HealthCheck | None = None


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What the model's author says about it; it decides nothing, and may have more fields."""

    author: str | None = None
    title: str | None = None
    version: str | int | float | None = None
    created: str | None = None
    last_modified: str | None = None
    description: str | None = None
    task: str | None = None
    category: str | None = None
    architecture: str | None = None
    framework: list[str] | None = None
    label: list[str] | None = None
    license: str | None = None
    min_resource: dict[str, Any] | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: its name, the path of its files, and its service if it has one."""

    name: Name
    model_path: Name
    service: ModelService | None = None
    metadata: ModelMetadata | None = None


class ModelDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a model definition: its models; the first with a health check counts."""

    models: list[Model]


def find_model_definition(folder: Path, path: str | None = None) -> Path:
    """Return the path of the model definition in *folder*.

    Args:
        folder: The model's folder.
        path: A file, or a folder with a `model-definition.yaml` or `.yml`, within *folder*.

    Raises:
        InvalidModelDefinitionError: There is none, or *path* leads out of *folder*.
    """
    place = folder / (path or "")
    if not place.resolve().is_relative_to(folder.resolve()):
        raise InvalidModelDefinitionError(f"path: {path!r} leads out of the folder {folder}")
    candidates = [place / name for name in FILE_NAMES] if place.is_dir() else [place]
    for candidate in candidates:
        if candidate.is_file() and candidate.resolve().is_relative_to(folder.resolve()):
            return candidate
    sought = " or ".join(FILE_NAMES) if place.is_dir() else "file"
    raise InvalidModelDefinitionError(f"{place}: there is no {sought} here")


def read_model_definition(file: Path) -> object:
    """Return the content of *file* in plain types: only YAML's own types are constructed.

    Raises:
        InvalidModelDefinitionError: It cannot be read, is not YAML, or breaks a limit.
    """
    try:
        if not file.is_file():
            raise InvalidModelDefinitionError(f"{file}: there is no such file")
        with file.open("rb") as opened:
            content = opened.read(DEFINITION_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidModelDefinitionError(f"{file}: {error.strerror}") from None
    if len(content) > DEFINITION_BYTES_MAX:
        raise InvalidModelDefinitionError(
            f"{file}: it has more than {DEFINITION_BYTES_MAX} bytes, which is the limit"
        )
    try:
        return yaml.load(content, _PlainLoader)  # noqa: S506 - it constructs less than SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidModelDefinitionError(f"{file}: {_in_one_line(error)}") from None


def validate_model_definition(content: object, file: Path) -> ModelDefinition:
    """Return *content*, read from *file*, as a model definition.

    A key may be written with hyphens or underscores. Null means the default.

    Raises:
        InvalidModelDefinitionError: A field is missing, unknown, or breaks its limits.
    """
    try:
        given = _given(content, "")
    except ValueError as error:
        raise InvalidModelDefinitionError(f"{file}: {error}") from None
    try:
        return msgspec.convert(given, ModelDefinition)
    except msgspec.ValidationError as error:
        raise InvalidModelDefinitionError(f"{file}: {invalid_event(error, given)}") from None


def resolve_health_check(
    variant_name: str, definition: ModelDefinition | None
) -> HealthCheck | None:
    """Return how the routes of an endpoint are checked, None where they are not checked.

    The profile of the runtime variant decides; for `custom` the first model with a health check
    in its service does.
    """
    path = runtime_variant(variant_name).health_check_path
    if path is not None:
        return HealthCheck(path=path)
    if variant_name != CUSTOM or definition is None:
        return None
    services = (model.service for model in definition.models)
    checks = (service.health_check for service in services if service is not None)
    return next((check for check in checks if check is not None), None)


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader without its sets, dates and binaries, and with bounds on depth and aliases."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's way
        first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) in _PLAIN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012 - PyYAML's way
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in _PLAIN
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
                raise _refusal(f"the key {key.value!r} is given twice, the limit is once", key)
            seen.add(key.value)
        return node


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401 - an event or a node
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _in_one_line(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem or error.context}"


def _given(value: object, place: str) -> object:
    """Return *value* without nulls, and with underscores in the names of all fields."""
    if isinstance(value, list):
        return [_given(item, f"{place}[{number}]") for number, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    fields: dict[str, object] = {}
    for key, inner in value.items():
        name = str(key).replace("-", "_")
        within = f"{place}.{name}".lstrip(".")
        if name in fields:
            raise ValueError(f"{within}: it is given twice, the limit is once")
        fields[name] = _given(inner, within) if name in _NESTED else inner
        if name == "health_check" and isinstance(inner, dict):
            fields[name] = _health_check(_given(inner, within), within) if inner else None
    return {name: inner for name, inner in fields.items() if inner is not None}


def _health_check(given: Any, place: str) -> object:  # noqa: ANN401 - a mapping of whatever is there
    """Return *given* without `enable`, which newer definitions have; None where that is false."""
    unknown = given.keys() - _HEALTH_CHECK_FIELDS
    if unknown:
        known = ", ".join(sorted(_HEALTH_CHECK_FIELDS))
        raise ValueError(f"{place}.{min(unknown)}: it is not known here, known are {known}")
    enable = given.pop("enable", True)
    if not isinstance(enable, bool):
        raise ValueError(f"{place}.enable: {enable!r} is not allowed, it is true or false")  # noqa: TRY004 - a wrong value of the file, not of the caller
    interval = given.get("interval")
    if isinstance(interval, int | float) and 0 < interval < INTERVAL_MIN_S:
        raise ValueError(f"{place}.interval: must be at least {INTERVAL_MIN_S}, got {interval}")
    return given if enable else None
