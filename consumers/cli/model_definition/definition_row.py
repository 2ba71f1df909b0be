"""What a model definition means: the values that are printed, for a person and for a program."""

from typing import Any

import msgspec

from consumers.cli.endpoints.table import health_check_in_words
from consumers.cli.terminal.output_form import ForTable
from consumers.cli.terminal.table import Column, Columns
from events.catalogue.health_check import HealthCheck, shown_fields
from producers.model_definitions.checked_definition import CheckedDefinition
from producers.model_definitions.definition_reader import DefinitionProblem
from producers.model_definitions.model_definition import Model, resolve_health_check
from producers.model_definitions.runtime_variant import CUSTOM, RuntimeVariants, unknown_variant


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a definition."""

    name: str
    model_path: str | None
    port: int | None
    health_check: dict[str, Any] | None
    check: ForTable[HealthCheck | None]


class DefinitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What would be used of a definition, and what is wrong with it."""

    source: str
    is_usable: bool
    runtime_variant: str
    port: int | None
    health_check: dict[str, Any] | None
    check: ForTable[HealthCheck | None]
    models: list[ModelRow]
    problems: list[DefinitionProblem]


def definition_row(
    checked: CheckedDefinition, variant_name: str, variants: RuntimeVariants
) -> DefinitionRow:
    """Return what an endpoint of that runtime variant would use of *checked*."""
    definition, variant = checked.definition, variants.get(variant_name)
    models = [] if definition is None else definition.models
    check = None
    if definition is not None:
        check = resolve_health_check(variant_name, definition, variants)
    ports = [model.service.port for model in models if model.service is not None]
    port = None if variant is None or definition is None else variant.port
    return DefinitionRow(
        source=checked.source,
        is_usable=definition is not None,
        runtime_variant=variant_name,
        port=ports[0] if ports and variant_name == CUSTOM else port,
        health_check=_shown(check),
        check=check,
        models=[_model_row(model) for model in models],
        problems=[
            *checked.mistakes,
            *_about_variant(checked, variant_name, variants),
            *checked.warnings,
        ],
    )


def _model_row(model: Model) -> ModelRow:
    service = model.service
    check = None if service is None else service.health_check
    return ModelRow(
        name=model.name,
        model_path=model.model_path,
        port=None if service is None else service.port,
        health_check=_shown(check),
        check=check,
    )


def _shown(check: HealthCheck | None) -> dict[str, Any] | None:
    return None if check is None else shown_fields(check)


def _about_variant(
    checked: CheckedDefinition, name: str, variants: RuntimeVariants
) -> list[DefinitionProblem]:
    """Return warnings about a health check that is not the one that was meant."""
    unknown = unknown_variant(name, variants)
    if unknown is not None:
        return [DefinitionProblem("warning", "", unknown)]
    definition = checked.definition
    has_check = definition is not None and definition.health_check is not None
    if name != CUSTOM and has_check:
        told = f"the health check is not used: that of the runtime variant {name} is"
    elif name == CUSTOM and definition is not None and not has_check:
        told = "no model has a health check, so the routes are not checked"
    else:
        return []
    return [DefinitionProblem("warning", "", told)]


def definition_pairs(row: DefinitionRow) -> list[tuple[str, object | None]]:
    """Return names and values that describe what would be used."""
    if not row.is_usable:
        return [("source", row.source), ("usable", "no: mend its mistakes first")]
    return [
        ("source", row.source),
        ("usable", "yes"),
        ("variant", row.runtime_variant),
        ("port", row.port),
        ("health check", health_check_in_words(row.check)),
    ]


MODELS: Columns[ModelRow] = (
    Column("MODEL", lambda row: row.name, folds=True),
    Column("PATH", lambda row: row.model_path, folds=True),
    Column("PORT", lambda row: row.port, is_number=True),
    Column("HEALTH CHECK", lambda row: _in_words(row.check), folds=True, is_below=True),
)

PROBLEMS: Columns[DefinitionProblem] = (
    Column("SEVERITY", lambda row: row.severity),
    Column("LINE", lambda row: row.line, is_number=True),
    Column("COLUMN", lambda row: row.column, is_number=True),
    Column("FIELD", lambda row: row.field or None, folds=True),
    Column("PROBLEM", lambda row: row.problem, folds=True, is_below=True),
)


def _in_words(check: HealthCheck | None) -> str | None:
    return None if check is None else health_check_in_words(check)
