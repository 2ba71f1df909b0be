"""The commands that record what happens to endpoints as a whole."""

from pathlib import Path
from uuid import UUID, uuid4

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.endpoints.confirmed_append import confirm_and_append
from consumers.cli.endpoints.health_check_option import chosen_health_check, health_check_options
from consumers.cli.endpoints.route_input import label_option, read_labels
from consumers.cli.terminal.output import yes_option
from events.catalogue.endpoint import EndpointCreatedEvent, Owner
from events.entry import codec
from producers.endpoints import decisions
from producers.endpoints.decisions import Decision
from producers.model_definitions.runtime_variant import CUSTOM
from projections.route_table.endpoint import Endpoint


@click.command("create")
@click.argument("name")
@click.option("--model", required=True, help="The model that it serves.")
@click.option("--id", "endpoint_id", type=click.UUID, help="Its id; a new one unless given.")
@click.option(
    "--runtime-variant", default="custom", show_default=True, help="What serves the model."
)
@click.option("--open-to-public", is_flag=True, help="Let it be used without a token.")
@click.option("--owner-domain", metavar="NAME", help="The domain whose endpoint it is.")
@click.option("--owner-project", metavar="NAME", help="The project whose endpoint it is.")
@click.option("--owner-user", metavar="NAME", help="The user whose endpoint it is.")
@label_option
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
    owner_domain: str | None,
    owner_project: str | None,
    owner_user: str | None,
    given_labels: tuple[str, ...],
    health_check: str | None,
    health_check_ca: Path | None,
    no_health_check: bool,
    model_folder: str | None,
    yes: bool,
) -> None:
    """Create an endpoint, and print its id.

    Unless told otherwise its runtime variant says how its routes are checked.

    \b
    Example: routestream endpoints create chat --model llama-3 --runtime-variant vllm --yes
    """
    settings = deployment.settings.model_definition
    chosen = await chosen_health_check(
        health_check, health_check_ca, model_folder, settings, off=no_health_check
    )
    owner = Owner(domain=owner_domain, project=owner_project, user=owner_user)
    event = EndpointCreatedEvent(
        endpoint_id=endpoint_id or uuid4(),
        name=name,
        model=model,
        runtime_variant=runtime_variant,
        open_to_public=open_to_public,
        health_check=chosen.of(runtime_variant),
        owner=None if owner == Owner() else owner,
        labels=read_labels(given_labels),
    )
    codec.check(event)  # before its name is claimed
    await confirm_and_append(
        deployment,
        event.endpoint_id,
        lambda endpoint: decisions.create(endpoint, event),
        yes=yes,
        created=event,
    )
    click.echo(event.endpoint_id)


@click.command("update")
@click.argument("endpoint")
@health_check_options
@yes_option
@command_of
async def update(  # noqa: PLR0913 - the ways to say how routes are checked
    deployment: Deployment,
    *,
    endpoint: str,
    health_check: str | None,
    health_check_ca: Path | None,
    no_health_check: bool,
    model_folder: str | None,
    yes: bool,
) -> None:
    """Update how an endpoint's routes are checked.

    \b
    Example: routestream endpoints update chat --health-check '{"path": "/health"}' --yes
    """
    given = (health_check, health_check_ca, model_folder)
    if given == (None, None, None) and not no_health_check:
        raise click.UsageError("give --health-check, --model-folder or --no-health-check")

    settings = deployment.settings.model_definition
    chosen = await chosen_health_check(
        health_check, health_check_ca, model_folder, settings, off=no_health_check
    )

    def decide(state: Endpoint) -> Decision:
        check = chosen.of(state.runtime_variant or CUSTOM)
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
