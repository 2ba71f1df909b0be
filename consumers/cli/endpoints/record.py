"""The commands that record what happens to endpoints as a whole."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.confirmed_append import confirm_and_append
from consumers.cli.terminal.output import yes_option
from events.catalogue.endpoint import EndpointCreatedEvent
from events.catalogue.health_check import HealthCheck, health_check_from
from events.entry.codec import invalid_event
from events.errors import InvalidEventError
from producers.endpoints import decisions
from producers.endpoints.decisions import Decision
from producers.endpoints.model_definition import (
    find_model_definition,
    read_model_definition,
    resolve_health_check,
    validate_model_definition,
)
from projections.route_table.endpoint import Endpoint

HEALTH_CHECK_EXAMPLE = '{"path": "/health", "interval": 5}'

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
            "--model-folder",
            type=click.Path(path_type=Path),
            help="Take the health check from the model definition in this folder.",
        ),
    ):
        command = option(command)
    return command


@click.command("create")
@click.argument("name")
@click.option("--model", required=True, help="The model that it serves.")
@click.option("--id", "endpoint_id", type=click.UUID, help="Its id; a new one unless given.")
@click.option(
    "--runtime-variant", default="custom", show_default=True, help="What serves the model."
)
@click.option("--open-to-public", is_flag=True, help="Let it be used without a token.")
@health_check_options
@yes_option
@command_of
async def create(  # noqa: PLR0913 - an endpoint's fields
    deployment: Deployment,
    *,
    name: str,
    model: str,
    endpoint_id: UUID | None,
    runtime_variant: str,
    open_to_public: bool,
    health_check: str | None,
    no_health_check: bool,
    model_folder: Path | None,
    yes: bool,
) -> None:
    """Create an endpoint, and print its id.

    Unless told otherwise its runtime variant says how its routes are checked.

    \b
    Example: routestream endpoints create chat --model llama-3 --runtime-variant vllm --yes
    """
    check = _health_check(runtime_variant, health_check, model_folder, off=no_health_check)
    event = EndpointCreatedEvent(
        endpoint_id=endpoint_id or uuid4(),
        name=name,
        model=model,
        runtime_variant=runtime_variant,
        open_to_public=open_to_public,
        health_check=check,
    )
    await confirm_and_append(
        deployment,
        event.endpoint_id,
        lambda endpoint: decisions.create(endpoint, event),
        yes=yes,
    )
    click.echo(event.endpoint_id)


@click.command("update")
@click.argument("endpoint")
@health_check_options
@yes_option
@command_of
async def update(
    deployment: Deployment,
    *,
    endpoint: str,
    health_check: str | None,
    no_health_check: bool,
    model_folder: Path | None,
    yes: bool,
) -> None:
    """Update how an endpoint's routes are checked.

    \b
    Example: routestream endpoints update chat --health-check '{"path": "/health"}' --yes
    """
    if health_check is None and model_folder is None and not no_health_check:
        raise click.UsageError("give --health-check, --model-folder or --no-health-check")

    def decide(state: Endpoint) -> Decision:
        variant = state.runtime_variant or "custom"
        check = _health_check(variant, health_check, model_folder, off=no_health_check)
        return decisions.update_health_check(state, check)

    await confirm_and_append(deployment, endpoint, decide, yes=yes)


@click.command("destroy")
@click.argument("endpoint")
@yes_option
@command_of
async def destroy(deployment: Deployment, *, endpoint: str, yes: bool) -> None:
    """Destroy an endpoint and all its routes, for good.

    \b
    Example: routestream endpoints destroy chat --yes
    """
    await confirm_and_append(deployment, endpoint, decisions.destroy, yes=yes)


def _health_check(
    runtime_variant: str, given: str | None, model_folder: Path | None, *, off: bool
) -> HealthCheck | None:
    if sum((off, given is not None, model_folder is not None)) > 1:
        raise click.UsageError(
            "--health-check, --model-folder and --no-health-check exclude each other"
        )
    if off:
        return None
    if given is not None:
        return _health_check_in(given)
    definition = None
    if model_folder is not None:
        file = find_model_definition(model_folder)
        definition = validate_model_definition(read_model_definition(file), file)
    return resolve_health_check(runtime_variant, definition)


def _health_check_in(text: str) -> HealthCheck:
    try:
        given = msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--health-check is no JSON object: {error}") from None
    try:
        return health_check_from(given)
    except msgspec.ValidationError as error:
        wrong = invalid_event(error, given)
        raise InvalidEventError(f"health_check.{wrong.field}", wrong.problem) from None
