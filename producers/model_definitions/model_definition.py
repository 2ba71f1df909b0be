"""Model definitions: files in models' folders that say how the models are served.

What Backend.AI reads is read: keys that nothing here needs are kept beside the others, in `extra`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field
from msgspec.structs import replace

from events.catalogue.health_check import HealthCheck
from producers.model_definitions.definition_reader import DefinitionPart
from producers.model_definitions.runtime_variant import CUSTOM, RuntimeVariants, runtime_variants

Name = Annotated[str, Meta(min_length=1)]


class PreStartAction(DefinitionPart, frozen=True, kw_only=True):
    """One action in the session before the model server starts."""

    action: Name
    args: dict[str, Any] = field(default_factory=dict)


class ModelService(DefinitionPart, frozen=True, kw_only=True):
    """How the model server is started, where it listens, how its health is checked."""

    port: Annotated[int, Meta(ge=1, le=65_535)]
    start_command: str | list[str] | None = None
    shell: str = "/bin/bash"
    pre_start_actions: list[PreStartAction] = field(default_factory=list)
    health_check: HealthCheck | None = None


class ModelMetadata(DefinitionPart, frozen=True, kw_only=True):
    """What the model's author says about it; it decides nothing."""

    aliases: ClassVar[Mapping[str, str]] = {"created_at": "created", "modified_at": "last_modified"}
    takes_any: ClassVar[bool] = True

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


class Model(DefinitionPart, frozen=True, kw_only=True):
    """One model: its name, the path of its files, and its service if it has one.

    Without *model_path* its files are where its folder is mounted.
    """

    name: Name
    model_path: Name | None = None
    service: ModelService | None = None
    metadata: ModelMetadata | None = None


class ModelDefinition(DefinitionPart, frozen=True, kw_only=True):
    """The content of a model definition: its models; the first with a health check counts."""

    models: list[Model]

    @property
    def health_check(self) -> HealthCheck | None:
        """The health check of the first model that has one; None where none has.

        A deep check asks for that model, unless it names another.
        """
        for model in self.models:
            check = None if model.service is None else model.service.health_check
            if check is not None:
                return _asking_for(model, check)
        return None


def _asking_for(model: Model, check: HealthCheck) -> HealthCheck:
    if check.deep is None or check.deep.model is not None:
        return check
    return replace(check, deep=replace(check.deep, model=model.name))


def resolve_health_check(
    variant_name: str,
    definition: ModelDefinition | None,
    variants: RuntimeVariants | None = None,
) -> HealthCheck | None:
    """Return how the routes of an endpoint are checked, None where they are not checked.

    The profile of the runtime variant decides; for `custom` the model definition does. A variant
    that is none of *variants* (those that are shipped unless given) has no health check.
    """
    if variant_name == CUSTOM:
        return None if definition is None else definition.health_check
    variant = (runtime_variants() if variants is None else variants).get(variant_name)
    return None if variant is None else variant.health_check
