"""Reads the model definition of a model folder: a local one, a storage proxy's, or given bytes."""

from pathlib import Path

import msgspec
from anyio import to_thread

from events.catalogue.health_check import HealthCheck
from events.plain_yaml import BYTES_MAX
from events.structured_logger import structured_logger
from producers.errors import InvalidModelFolderError, ModelFolderError, ModelFolderNotFoundError
from producers.model_definitions.checked_definition import CheckedDefinition, check_model_definition
from producers.model_definitions.model_definition import resolve_health_check
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
from producers.model_definitions.runtime_variant import CUSTOM, known_variants

_log = structured_logger(__name__)

FILE_NAMES = ("model-definition.yaml", "model-definition.yml")
"""The names that the file may have, in the order in which they are tried."""

GIVEN = "model definition"
"""The source of a definition that a caller gave as bytes."""

ModelSource = str | Path | bytes
"""A file, a folder, the URL of a storage proxy's folder, or the content of a model definition."""


class ModelFile(msgspec.Struct, frozen=True):
    """A model definition as it was found: its source, and its first `BYTES_MAX` + 1 bytes."""

    source: str
    content: bytes


async def read_model_definition(
    source: ModelSource, settings: ModelDefinitionSettings | None = None
) -> CheckedDefinition:
    """Read the model definition at *source*, and find every mistake in it.

    A text that begins with `http://` or `https://` is the URL of a folder behind a storage proxy:
    see `storage_proxy`.

    Raises:
        ModelFolderError: It cannot be read, and so all of its subclasses.
    """
    if isinstance(source, bytes):
        return check_model_definition(source, GIVEN)
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        # Few callers need aiohttp.
        from producers.model_definitions.storage_proxy import fetch_model_file  # noqa: PLC0415

        file = await fetch_model_file(source, settings or ModelDefinitionSettings())
    else:
        file = await to_thread.run_sync(_read_local, Path(source), abandon_on_cancel=True)
    return check_model_definition(file.content, file.source)


async def health_check_of(
    runtime_variant: str,
    source: ModelSource | None,
    settings: ModelDefinitionSettings | None = None,
) -> HealthCheck | None:
    """Return how the routes of an endpoint are checked; None: not at all.

    *source* is read for the variant `custom` alone. A variant that is not known is warned about.

    Raises:
        InvalidModelDefinitionError: There is a mistake in the model definition.
        InvalidRuntimeVariantsError: There is one in the operator's file of variants.
        ModelFolderError: The model definition cannot be read.
    """
    variants = known_variants(settings or ModelDefinitionSettings())
    if runtime_variant not in variants:
        _log.warning("runtime_variant_unknown", variant=runtime_variant, known=list(variants))
    definition = None
    if runtime_variant == CUSTOM and source is not None:
        definition = (await read_model_definition(source, settings)).usable
    return resolve_health_check(runtime_variant, definition, variants)


def find_model_definition(folder: Path, path: str | None = None) -> Path:
    """Return the path of the model definition in *folder*.

    Args:
        folder: The model's folder.
        path: A file, or a folder with a `model-definition.yaml` or `.yml`, within *folder*.

    Raises:
        InvalidModelFolderError: *path* leads out of *folder*.
        ModelFolderNotFoundError: There is no model definition.
    """
    place = folder / (path or "")
    if not place.resolve().is_relative_to(folder.resolve()):
        raise InvalidModelFolderError(f"path: {path!r} leads out of the folder {folder}")
    candidates = [place / name for name in FILE_NAMES] if place.is_dir() else [place]
    for candidate in candidates:
        if candidate.is_file() and candidate.resolve().is_relative_to(folder.resolve()):
            return candidate
    sought = " or ".join(FILE_NAMES) if place.is_dir() else "file"
    raise ModelFolderNotFoundError(f"{place}: there is no {sought} here")


def _read_local(place: Path) -> ModelFile:
    try:
        file = place if place.is_file() else find_model_definition(place)
        with file.open("rb") as opened:
            return ModelFile(str(file), opened.read(BYTES_MAX + 1))
    except OSError as error:
        raise ModelFolderError(f"{place}: {(error.strerror or str(error)).lower()}") from None
