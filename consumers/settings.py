"""Reads the settings from one file and the environment, for the composition root alone."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from consumers.backend_ai.backend_ai_stream_settings import BackendAIStreamSettings
from consumers.errors import ConsumersError
from consumers.monitoring.settings import MetricsSettings
from consumers.publishers.settings import PublishSettings
from consumers.retention.settings import RetentionSettings
from consumers.runtime.consumer import ConsumerSettings
from consumers.webhook.webhook_settings import WebhookSettings
from events.archive import ArchiveSettings
from events.limits import Limited, place_of, problem_of, value_at
from events.log.keys import PARTITIONS_MAX
from events.server.settings import ServerSettings
from producers.checker.membership import MembershipSettings
from producers.checker.settings import CheckerSettings
from producers.life_cycle.settings import LifeCycleSettings
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
from producers.rollout.health_gate import GateSettings
from projections.read_model.reader import ReaderSettings
from projections.snapshots.snapshot import SnapshotSettings

PREFIX = "ROUTESTREAM_"
URL_VARIABLE = "REDIS_URL"
OF_THE_PROGRAM = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}LOG_LEVEL"})
"""Variables that are options of the program, not settings."""

DEFAULT = "default"
"""The source of a setting that nobody has set."""

_CLOSE = 0.85
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class InvalidSettingsError(ConsumersError):
    """A setting is unknown, or its value is not allowed."""


class Settings(Limited, frozen=True):
    """All settings; each part is described where it is used.

    Attributes:
        namespace: The name of the deployment on the server; part of every key.
        partitions: The number with which the log is made, 1 unless given; it never changes.
    """

    namespace: str = "routestream"
    partitions: Annotated[int, Meta(ge=1, le=PARTITIONS_MAX)] | None = None
    server: ServerSettings = ServerSettings()
    consumer: ConsumerSettings = ConsumerSettings()
    reader: ReaderSettings = ReaderSettings()
    checker: CheckerSettings = CheckerSettings()
    membership: MembershipSettings = MembershipSettings()
    life_cycle: LifeCycleSettings = LifeCycleSettings()
    model_definition: ModelDefinitionSettings = ModelDefinitionSettings()
    rollout: GateSettings = GateSettings()
    webhook: WebhookSettings = WebhookSettings()
    backend_ai: BackendAIStreamSettings = BackendAIStreamSettings()
    retention: RetentionSettings = RetentionSettings()
    metrics: MetricsSettings = MetricsSettings()
    archive: ArchiveSettings = ArchiveSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    publish: PublishSettings = PublishSettings()


class SettingInForce(msgspec.Struct, frozen=True):
    """One setting as it counts.

    Attributes:
        setting: Its name, such as `consumer.block_ms`.
        value: Its value; a password, a secret and the path of a URL to call are masked.
        source: Where it comes from: an option, a variable, a file with line and column, `default`.
    """

    setting: str
    value: Any
    source: str


def read_settings(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read the YAML file at *path*, then the environment, which overrides the file.

    `REDIS_URL` is the server's URL where the file names none; every other setting is
    `ROUTESTREAM_`, the part it belongs to, and its name: `ROUTESTREAM_NAMESPACE`,
    `ROUTESTREAM_CONSUMER_BLOCK_MS`, `ROUTESTREAM_CONSUMER_POLICY_TRIES_MAX`.

    Raises:
        InvalidSettingsError: The file cannot be read, or a setting is wrong; the message names it,
            and where it comes from.
    """
    return read_with_sources(path, environment)[0]


def read_with_sources(
    path: Path | None,
    environment: Mapping[str, str],
    options: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Settings, dict[str, str]]:
    """Return the settings as `read_settings` does, and the source of each that was set.

    *options* names the option of the command line that has set a variable, where one has.
    """
    given, sources = ({}, {}) if path is None else _read_file(path)
    known = dict(_variables("", Settings()))
    _refuse_typing_errors(known.values(), environment)
    variables = list(known.items())
    if "server.url" not in sources and environment.get(URL_VARIABLE):
        variables.insert(0, ("server.url", URL_VARIABLE))
    for name, variable in variables:
        if variable in environment:
            _put(given, name, _value_in(variable, environment, default=_value(Settings(), name)))
            sources[name] = options.get(variable, variable)
    _complete(Settings(), given)
    try:
        return msgspec.convert(given, Settings, strict=False), sources
    except msgspec.ValidationError as error:
        raise InvalidSettingsError(_problem(error, given, sources)) from None


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the file sets, and where in it each value stands."""
    from events.plain_yaml import UnreadableYamlError, read_yaml  # noqa: PLC0415 - few have a file

    try:
        plain = read_yaml(path)
    except OSError as error:
        raise InvalidSettingsError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnreadableYamlError as error:
        raise InvalidSettingsError(f"{path}: {error}") from None
    if plain.content is not None and not isinstance(plain.content, dict):
        raise InvalidSettingsError(f"{path}: expected settings by name, found something else")
    return plain.content or {}, {name: f"{path}, {at}" for name, at in plain.places.items()}


def _variables(beginning: str, part: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """Yield each setting and its variable."""
    for field in msgspec.structs.fields(part):
        name, value = beginning + field.name, getattr(part, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _variables(f"{name}.", value)
        else:
            yield name, PREFIX + name.replace(".", "_").upper()


def _refuse_typing_errors(known: Iterable[str], environment: Mapping[str, str]) -> None:
    """Refuse variables that look like settings and are none; Kubernetes may have set some."""
    for variable in environment:
        if not variable.startswith(PREFIX) or variable in {*known, *OF_THE_PROGRAM}:
            continue
        if _SERVICE_LINK.search(variable) or _SERVICE_ADDRESS.match(environment[variable]):
            continue
        raise InvalidSettingsError(f"{variable} is no setting{_meant(variable, known)}")


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=_CLOSE)
    return f"; did you mean {close[0]}?" if close else "; docs/settings.md lists them"


def _value_in(variable: str, environment: Mapping[str, str], *, default: Any) -> str | list[str]:  # noqa: ANN401 - a setting may have any type
    """Return what *variable* holds; a list has commas between its values."""
    text = environment[variable]
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidSettingsError(f"{variable} has bytes that are no UTF-8") from None
    if not isinstance(default, tuple):
        return text
    return [value for value in map(str.strip, text.split(",")) if value]


def _put(given: dict[str, Any], name: str, value: str | list[str]) -> None:
    """Set a value by its path; what is no mapping on the way stays, and is refused later."""
    *parts, last = name.split(".")
    for part in parts:
        within = given.setdefault(part, {})
        within = given[part] = {} if within is None else within
        if not isinstance(within, dict):
            return
        given = within
    given[last] = value


def _complete(default: msgspec.Struct, given: dict[str, Any]) -> None:
    """Fill in the defaults of each part, which may differ from its type's."""
    for field in msgspec.structs.fields(default):
        value = getattr(default, field.name)
        if not isinstance(value, msgspec.Struct):
            given.setdefault(field.name, value)
            continue
        part = given.get(field.name)
        part = given[field.name] = {} if part is None else part
        if isinstance(part, dict):
            _complete(value, part)


def _problem(
    error: msgspec.ValidationError, given: Mapping[str, Any], sources: Mapping[str, str]
) -> str:
    path, problem = place_of(error)
    unknown = _UNKNOWN.fullmatch(problem)
    if unknown is not None:
        path = f"{path}.{unknown['name']}".lstrip(".")
        known = [name for name, _ in _variables("", Settings())]
        told = f"setting {path} is not known{_meant(path, known)}"
    else:
        try:
            value = value_at(given, path)
        except LookupError:
            value = None
        told = problem_of(f"setting {path}" if path else "settings", problem, value)
    source = _source(path, sources)
    return f"{told} ({source})" if source else told


def _source(path: str, sources: Mapping[str, str]) -> str | None:
    """Return where the setting at *path* comes from; for a whole part, where all of it does."""
    exact = sources.get(path.replace("-", "_"))
    within = {source for name, source in sources.items() if name.startswith(f"{path}.")}
    if len(within) == 1 and exact is None:
        return within.pop()
    return exact


def settings_in_force(settings: Settings, sources: Mapping[str, str]) -> list[SettingInForce]:
    """Return every setting with its value and its source."""
    return [
        SettingInForce(name, _shown(settings, name), sources.get(name, DEFAULT))
        for name, _ in _variables("", settings)
    ]


def _shown(settings: Settings, name: str) -> Any:  # noqa: ANN401 - a setting may have any type
    """Return the setting as its part shows it, which masks a secret."""
    part, _, field = f".{name}".rpartition(".")
    return dict(_value(settings, part.lstrip(".")).__rich_repr__())[field]


def _value(settings: Settings, name: str) -> Any:  # noqa: ANN401 - a setting may have any type
    return reduce(getattr, filter(None, name.split(".")), settings)
