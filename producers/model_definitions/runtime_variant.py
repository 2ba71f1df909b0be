"""The runtime variants: kinds of model server, and how to ask each whether it is ready."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta

from events.catalogue.health_check import HealthCheck
from events.plain_yaml import UnreadableYamlError, read_yaml
from producers.errors import InvalidRuntimeVariantsError
from producers.model_definitions.definition_reader import DefinitionPart, DefinitionReader
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings

CUSTOM = "custom"
"""The variant with its health check in a model definition."""

_SHIPPED = Path(__file__).with_name("runtime_variants.yaml")


class RuntimeVariant(DefinitionPart, frozen=True, kw_only=True):
    """The profile of one kind of model server.

    Attributes:
        name: The name by which an endpoint selects it.
        port: The port where it listens by default; None where that is not known.
        health_check: How its routes are checked; None where that is not known.
    """

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    health_check: HealthCheck | None = None


RuntimeVariants = Mapping[str, RuntimeVariant]
"""The variants that are known, by name."""


def runtime_variants(file: Path | None = None) -> RuntimeVariants:
    """Return the variants that are shipped, and those of an operator's *file* over them.

    Raises:
        InvalidRuntimeVariantsError: The file cannot be read, or a variant in it is wrong.
    """
    shipped = _shipped_variants()
    return shipped if file is None else MappingProxyType({**shipped, **_variants_in(file)})


def known_variants(settings: ModelDefinitionSettings) -> RuntimeVariants:
    """Return the variants that the settings make known; see `runtime_variants`."""
    file = settings.runtime_variants_file
    return runtime_variants(Path(file) if file else None)


def unknown_variant(name: str, variants: RuntimeVariants) -> str | None:
    """Return a sentence about a variant that is not known, None for one that is."""
    if name in variants:
        return None
    return (
        f"runtime variant {name!r} is not known, so its routes are not checked; known are"
        f" {', '.join(variants)}"
    )


@cache
def _shipped_variants() -> RuntimeVariants:
    return MappingProxyType(_variants_in(_SHIPPED))


def _variants_in(file: Path) -> dict[str, RuntimeVariant]:
    try:
        plain = read_yaml(file)
    except OSError as error:
        raise InvalidRuntimeVariantsError(f"{file}: {error.strerror}") from None
    except UnreadableYamlError as error:
        raise InvalidRuntimeVariantsError(f"{file}: {error}") from None
    content = {} if plain.content is None else plain.content
    if not isinstance(content, dict):
        raise InvalidRuntimeVariantsError(f"{file}: expected variants by name")
    reader = DefinitionReader(plain.places)
    found: dict[str, RuntimeVariant] = {}
    for name, given in content.items():
        fields = {} if given is None else given
        fields = {**fields, "name": str(name)} if isinstance(fields, dict) else fields
        variant = reader.part(fields, RuntimeVariant, str(name).replace("-", "_"))
        found |= {} if variant is None else {variant.name: variant}
    mistakes = [*reader.mistakes]
    mistakes += [reader.problem("mistake", field, "it is not known") for field in reader.unused]
    if mistakes:
        raise InvalidRuntimeVariantsError(f"{file}: {'; '.join(map(str, mistakes))}")
    return found
