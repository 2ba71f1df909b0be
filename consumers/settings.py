"""Reads the settings from one file and the environment, for the composition root alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from consumers.errors import ConsumersError
from consumers.monitoring.settings import MetricsSettings
from consumers.retention.settings import RetentionSettings
from consumers.runtime.consumer import ConsumerSettings
from consumers.webhook.webhook_settings import WebhookSettings
from events.archive import ArchiveSettings
from events.limits import Limited, place_of, problem_of, value_at
from events.log.keys import PARTITIONS_MAX, check_namespace
from events.server.settings import ServerSettings
from producers.checker.membership import MembershipSettings
from producers.checker.settings import CheckerSettings
from projections.read_model.reader import ReaderSettings
from projections.snapshots.snapshot import SnapshotSettings

PREFIX = "ROUTESTREAM_"
_FILE_BYTES_MAX = 1_048_576


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
    webhook: WebhookSettings = WebhookSettings()
    retention: RetentionSettings = RetentionSettings()
    metrics: MetricsSettings = MetricsSettings()
    archive: ArchiveSettings = ArchiveSettings()
    snapshots: SnapshotSettings = SnapshotSettings()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_namespace(self.namespace)


def read_settings(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read the YAML file at *path*, then the environment, which overrides the file.

    `REDIS_URL` is the server's URL; every other setting is `ROUTESTREAM_`, the part it belongs to,
    and its name: `ROUTESTREAM_NAMESPACE`, `ROUTESTREAM_CONSUMER_BLOCK_MS`,
    `ROUTESTREAM_CONSUMER_POLICY_TRIES_MAX`.

    Raises:
        InvalidSettingsError: The file cannot be read, or a setting is wrong; the message names it.
    """
    given = {} if path is None else _read_file(path)
    if url := environment.get("REDIS_URL"):
        given.setdefault("server", {}).setdefault("url", url)
    _complete(Settings(), PREFIX, environment, given)
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidSettingsError(_problem(error, given)) from None


def _problem(error: msgspec.ValidationError, given: Mapping[str, Any]) -> str:
    path, problem = place_of(error)
    try:
        value = value_at(given, path)
    except LookupError:
        value = None
    return problem_of(f"setting {path}" if path else "settings", problem, value)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES_MAX + 1)
        if len(text) > _FILE_BYTES_MAX:
            raise InvalidSettingsError(f"{path}: more than {_FILE_BYTES_MAX} bytes")
        given = yaml.safe_load(text)
    except OSError as error:
        raise InvalidSettingsError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except yaml.YAMLError as error:
        raise InvalidSettingsError(f"{path}: {error}".replace("\n", " ")) from None
    if given is not None and not isinstance(given, dict):
        raise InvalidSettingsError(f"{path}: expected settings by name, found something else")
    return given or {}


def _complete(
    default: msgspec.Struct, prefix: str, environment: Mapping[str, str], given: dict[str, Any]
) -> None:
    """Fill in the environment, then this part's defaults, which may differ from its type's."""
    for field in msgspec.structs.fields(default):
        name, value = prefix + field.name.upper(), getattr(default, field.name)
        if isinstance(value, msgspec.Struct):
            part = given.setdefault(field.name, {})
            if isinstance(part, dict):
                _complete(value, f"{name}_", environment, part)
        elif name in environment:
            given[field.name] = environment[name]
        else:
            given.setdefault(field.name, value)
