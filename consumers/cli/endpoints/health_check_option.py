"""The options by which a person says how an endpoint's routes are checked."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

import click
import msgspec

from consumers.cli.terminal.messages import say_note
from events.catalogue.health_check import HealthCheck
from events.errors import InvalidEventError
from producers.model_definitions.checked_definition import CheckedDefinition
from producers.model_definitions.model_definition import ModelDefinition, resolve_health_check
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
from producers.model_definitions.model_folder import read_model_definition
from producers.model_definitions.requested_health_check import (
    FIELDS,
    InvalidHealthCheckError,
    requested_health_check,
)
from producers.model_definitions.runtime_variant import (
    CUSTOM,
    RuntimeVariants,
    known_variants,
    unknown_variant,
)

HEALTH_CHECK_EXAMPLE = '{"path": "/health", "interval": 5}'

_LISTED_MAX = 8

Callback = Callable[..., None]


def health_check_options(command: Callback) -> Callback:
    """Add the three ways to say how an endpoint's routes are checked."""
    for option in (
        click.option("--no-health-check", is_flag=True, help="Do not check the routes."),
        click.option(
            "--health-check",
            metavar="JSON",
            help=f"Check them like this, for example '{HEALTH_CHECK_EXAMPLE}'.",
        ),
        click.option(
            "--health-check-ca",
            metavar="FILE",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Check them over TLS, and trust the certificates in this PEM file alone; with"
            " --health-check.",
        ),
        click.option(
            "--model-folder",
            metavar="FOLDER|URL",
            help="Take the health check from the model definition in this folder, or in that of a"
            f" storage proxy; for the runtime variant {CUSTOM}.",
        ),
    ):
        command = option(command)
    return command


class ChosenHealthCheck(msgspec.Struct, frozen=True):
    """What the options say, for an endpoint of any runtime variant.

    Attributes:
        variants: The runtime variants that are known.
        given: What `--health-check` says, None where it is off or was not given.
        definition: The model definition, where `--model-folder` names one.
        is_given: Whether `--health-check` or `--no-health-check` was given.
    """

    variants: RuntimeVariants
    given: HealthCheck | None = None
    definition: ModelDefinition | None = None
    is_given: bool = False

    def of(self, runtime_variant: str) -> HealthCheck | None:
        """Return the health check of an endpoint, None where its routes are not checked.

        Raises:
            click.UsageError: A model definition would not be used.
        """
        if self.is_given:
            return self.given
        if self.definition is not None and runtime_variant != CUSTOM:
            raise click.UsageError(
                f"--model-folder would not be used: the runtime variant is {runtime_variant},"
                f" and only {CUSTOM} takes its health check from a model definition"
            )
        if unknown := unknown_variant(runtime_variant, self.variants):
            say_note(unknown)
        return resolve_health_check(runtime_variant, self.definition, self.variants)


async def chosen_health_check(
    given: str | None,
    ca: Path | None,
    model_folder: str | None,
    settings: ModelDefinitionSettings,
    *,
    off: bool,
) -> ChosenHealthCheck:
    """Read what the options name.

    Raises:
        click.UsageError: They exclude each other, or what is given is no JSON object.
        InvalidEventError: A field of the health check is unknown, or breaks its limits.
        InvalidModelDefinitionError: The model definition cannot be used.
        ModelFolderError: The model folder cannot be read.
        InvalidRuntimeVariantsError: The operator's file of variants cannot be used.
    """
    if sum((off, given is not None, model_folder is not None)) > 1:
        raise click.UsageError(
            "--health-check, --model-folder and --no-health-check exclude each other"
        )
    if ca is not None and given is None:
        raise click.UsageError("--health-check-ca is used with --health-check alone; give both")
    variants = known_variants(settings)
    if off:
        return ChosenHealthCheck(variants, is_given=True)
    if given is not None:
        return ChosenHealthCheck(variants, _health_check_in(given, ca), is_given=True)
    if model_folder is None:
        return ChosenHealthCheck(variants)
    checked = await read_model_definition(model_folder, settings)
    definition = checked.usable
    _note_warnings(checked)
    if definition.health_check is None:
        say_note(f"{checked.source}: no model has a health check, so the routes are not checked")
    return ChosenHealthCheck(variants, definition=definition)


def _note_warnings(checked: CheckedDefinition) -> None:
    """Print what contradicts itself, and in one line what is not used."""
    if checked.unused:
        say_note(f"{checked.source}: not used here: {_listed(checked.unused)}")
    for warning in checked.warnings:
        if warning.field not in checked.unused:
            say_note(f"{checked.source}: {warning}")


def _listed(places: Sequence[str]) -> str:
    more = len(places) - _LISTED_MAX
    return ", ".join(places[:_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def _health_check_in(text: str, ca: Path | None) -> HealthCheck | None:
    try:
        given = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise click.UsageError(f"--health-check is no JSON object: {error}") from None
    if not given:
        raise click.UsageError(
            "--health-check is empty; give at least a path, or --no-health-check"
        )
    if ca is not None:
        given["tls"] = {"ca": _certificates_in(ca)}
    try:
        check, unknown = requested_health_check(given)
    except InvalidHealthCheckError as error:
        raise InvalidEventError(f"health_check.{error.field}", error.problem) from None
    for name in unknown:
        close = get_close_matches(name, FIELDS, n=1)
        meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(FIELDS)}"
        raise InvalidEventError(f"health_check.{name}", f"it is not known; {meant}")
    return check


def _certificates_in(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeError) as error:
        raise click.UsageError(f"--health-check-ca: {file} cannot be read: {error}") from None
