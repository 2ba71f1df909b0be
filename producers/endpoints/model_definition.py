"""Load model definitions: files in models' folders that say how the models are served.

The functions below find, read, validate and resolve one in separate steps, in that order. What
Backend.AI reads is read: keys that nothing here needs are kept beside the others, in `extra`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from events.catalogue.health_check import HealthCheck
from events.entry.codec import invalid_event
from events.plain_yaml import PlainYaml, UnreadableYamlError, read_yaml
from producers.endpoints.requested_health_check import (
    InvalidHealthCheckError,
    requested_health_check,
)
from producers.endpoints.runtime_variant import CUSTOM, runtime_variant
from producers.errors import InvalidModelDefinitionError

FILE_NAMES = ("model-definition.yaml", "model-definition.yml")
"""The names that the file may have, in the order in which they are tried."""

Name = Annotated[str, Meta(min_length=1)]


class PreStartAction(msgspec.Struct, frozen=True, kw_only=True):
    """One action in the session before the model server starts."""

    action: Name
    args: dict[str, Any] = {}
    extra: dict[str, Any] = {}


class ModelService(msgspec.Struct, frozen=True, kw_only=True):
    """How the model server is started, where it listens, how its health is checked."""

    port: Annotated[int, Meta(ge=1, le=65_535)]
    start_command: str | list[str] | None = None
    shell: str = "/bin/bash"
    pre_start_actions: list[PreStartAction] = []
    health_check: HealthCheck | None = None
    extra: dict[str, Any] = {}


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What the model's author says about it; it decides nothing."""

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
    extra: dict[str, Any] = {}


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model: its name, the path of its files, and its service if it has one.

    Without *model_path* its files are where its folder is mounted.
    """

    name: Name
    model_path: Name | None = None
    service: ModelService | None = None
    metadata: ModelMetadata | None = None
    extra: dict[str, Any] = {}


class ModelDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a model definition: its models; the first with a health check counts.

    Attributes:
        unused: The places of the keys that mean nothing here, but for those of metadata.
    """

    models: list[Model]
    extra: dict[str, Any] = {}
    unused: tuple[str, ...] = ()


_PARTS: Mapping[str, type[msgspec.Struct]] = {
    "models": Model,
    "service": ModelService,
    "pre_start_actions": PreStartAction,
    "metadata": ModelMetadata,
}


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


def read_model_definition(file: Path) -> PlainYaml:
    """Return the content of *file* in plain types, read as YAML 1.2.

    Raises:
        InvalidModelDefinitionError: It cannot be read, is not YAML, or breaks a limit.
    """
    if not file.is_file():
        raise InvalidModelDefinitionError(f"{file}: there is no such file")
    try:
        return read_yaml(file)
    except OSError as error:
        raise InvalidModelDefinitionError(f"{file}: {error.strerror}") from None
    except UnreadableYamlError as error:
        raise InvalidModelDefinitionError(f"{file}: {error}") from None


def validate_model_definition(plain: PlainYaml, file: Path) -> ModelDefinition:
    """Return *plain*, read from *file*, as a model definition.

    A key may be written with hyphens or underscores. Null means the default. An unknown key is
    kept, and named in `unused`.

    Raises:
        InvalidModelDefinitionError: A field is missing, or breaks its limits; the message names
            file, field, line and column.
    """
    unused: list[str] = []
    try:
        given = _given(plain.content, ModelDefinition, "", unused)
        definition = msgspec.convert(given, ModelDefinition, strict=False)
    except _WrongFieldError as error:
        raise _located(file, plain, error.place, str(error)) from None
    except msgspec.ValidationError as error:
        wrong = invalid_event(error, given)
        raise _located(file, plain, wrong.field, str(wrong)) from None
    return msgspec.structs.replace(definition, unused=tuple(unused))


def _located(file: Path, plain: PlainYaml, place: str, told: str) -> InvalidModelDefinitionError:
    at = plain.places.get(place)
    return InvalidModelDefinitionError(f"{file}: {told}" + (f" ({at})" if at else ""))


class _WrongFieldError(ValueError):
    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place


def _given(value: object, kind: type[msgspec.Struct], place: str, unused: list[str]) -> object:
    """Return *value* as fields of *kind*: without nulls, with underscores, the rest in `extra`."""
    if isinstance(value, list):
        return [_given(item, kind, f"{place}[{n}]", unused) for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    fields: dict[str, object] = {}
    extra: dict[str, object] = {}
    for key, inner in value.items():
        name = str(key).replace("-", "_")
        within = f"{place}.{name}".lstrip(".")
        if name in fields:
            raise _WrongFieldError(within, "it is given twice, the limit is once")
        if name in _OURS or name not in kind.__struct_fields__:
            extra[str(key)] = inner
            unused += [] if kind is ModelMetadata else [f"{place}.{key}".lstrip(".")]
        elif name == "health_check" and isinstance(inner, dict):
            fields[name] = _health_check(inner, within, unused)
        else:
            part = _PARTS.get(name)
            fields[name] = inner if part is None else _given(inner, part, within, unused)
    given = {name: inner for name, inner in fields.items() if inner is not None}
    return {**given, "extra": extra} if extra else given


_OURS = frozenset({"extra", "unused"})
"""Fields of ours that no definition sets."""


def _health_check(given: Mapping[str, Any], place: str, unused: list[str]) -> HealthCheck | None:
    try:
        check, unknown = requested_health_check(given)
    except InvalidHealthCheckError as error:
        field, _, problem = str(error).partition(": ")
        raise _WrongFieldError(f"{place}.{field}", problem) from None
    unused += [f"{place}.{name}" for name in unknown]
    return check


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
