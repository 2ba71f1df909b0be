"""The commands that record facts."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, get_args
from uuid import UUID, uuid4

import click
import msgspec

from events.codec import invalid_event
from events.commands import events
from events.endpoint import EndpointCreatedEvent
from events.errors import InvalidEventError
from events.health_check import HealthCheck, health_check_from
from events.model_service import ModelServiceStatus
from events.route import RouteRecord
from events.terminal import Deployment, NotFoundError, command_of, confirm, yes_option
from producers import decisions
from producers.backend_ai.importer import SOURCE, import_capture
from producers.decisions import Decision
from producers.endpoint_service import EndpointService, Recorded
from producers.model_definition import (
    find_model_definition,
    read_model_definition,
    resolve_health_check,
    validate_model_definition,
)
from producers.plan import plan_of
from producers.route_input import read_routes, route_at
from projections.commands import endpoints
from projections.endpoint import Endpoint
from projections.endpoint_lookup import find_endpoint

HEALTH_CHECK_EXAMPLE = '{"path": "/health", "interval": 5}'

Callback = Callable[..., None]


@click.group()
def routes() -> None:
    """Record what happens to the routes of an endpoint."""


@click.group()
def status() -> None:
    """Record the health of routes."""


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


@endpoints.command("create")
@click.argument("name")
@click.option("--model", required=True, help="The model that it serves.")
@click.option("--id", "endpoint_id", type=click.UUID, help="Its id; a new one unless given.")
@click.option("--runtime-variant", default="custom", show_default=True)
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
    await _carry_out(
        deployment,
        event.endpoint_id,
        lambda endpoint: decisions.create(endpoint, event),
        yes=yes,
    )
    click.echo(event.endpoint_id)


@endpoints.command("update")
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

    await _carry_out(deployment, endpoint, decide, yes=yes)


@endpoints.command("destroy")
@click.argument("endpoint")
@yes_option
@command_of
async def destroy(deployment: Deployment, *, endpoint: str, yes: bool) -> None:
    """Destroy an endpoint and all its routes, for good.

    \b
    Example: routestream endpoints destroy chat --yes
    """
    await _carry_out(deployment, endpoint, decisions.destroy, yes=yes)


@routes.command("set")
@click.argument("endpoint")
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--route",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="A running route at this address; may be given several times.",
)
@yes_option
@command_of
async def set_routes(
    deployment: Deployment,
    *,
    endpoint: str,
    file: BinaryIO | None,
    addresses: tuple[str, ...],
    yes: bool,
) -> None:
    """Let an endpoint have exactly these routes, and print their ids.

    FILE is a JSON list of routes (- for standard input), each with at least `route_id`. A route
    given by its address keeps its id where the endpoint has one there already.

    \b
    Example: routestream routes set chat --route 10.0.0.1:8000 --route 10.0.0.2:8000 --yes
    """
    if (file is None) == (not addresses):
        raise click.UsageError("give either FILE or at least one --route HOST:PORT")
    listed = read_routes(file.read(), file.name) if file is not None else None
    chosen: list[RouteRecord] = []

    def decide(state: Endpoint) -> Decision:
        chosen[:] = listed if listed is not None else [route_at(state, a) for a in addresses]
        return decisions.set_route_list(state, chosen)

    await _carry_out(deployment, endpoint, decide, yes=yes)
    for route in chosen:
        click.echo(route.route_id)


@routes.command("ratio")
@click.argument("endpoint")
@click.argument("route")
@click.argument("traffic_ratio", type=float)
@yes_option
@command_of
async def ratio(
    deployment: Deployment, *, endpoint: str, route: str, traffic_ratio: float, yes: bool
) -> None:
    """Give a route a weight from 0 (no traffic) to 1.

    \b
    Example: routestream routes ratio chat 7ccd26ec 0.25 --yes
    """
    await _carry_out(
        deployment,
        endpoint,
        lambda state: decisions.set_traffic_ratio(state, _route_id(state, route), traffic_ratio),
        yes=yes,
    )


@routes.command("terminate")
@click.argument("endpoint")
@click.argument("route")
@yes_option
@command_of
async def terminate(deployment: Deployment, *, endpoint: str, route: str, yes: bool) -> None:
    """Give a route no new traffic from now on.

    \b
    Example: routestream routes terminate chat 7ccd26ec --yes
    """
    await _carry_out(
        deployment,
        endpoint,
        lambda state: decisions.terminate_route(state, _route_id(state, route)),
        yes=yes,
    )


@status.command("record")
@click.argument("endpoint")
@click.argument("route")
@click.argument("new_status", type=click.Choice(get_args(ModelServiceStatus)))
@click.option("--reason", help="Why; shown beside the status.")
@yes_option
@command_of
async def record(
    deployment: Deployment,
    *,
    endpoint: str,
    route: str,
    new_status: ModelServiceStatus,
    reason: str | None,
    yes: bool,
) -> None:
    """Record that a route has become healthy or unhealthy.

    \b
    Example: routestream status record chat 7ccd26ec unhealthy --reason 'GPU lost' --yes
    """

    def decide(state: Endpoint) -> Decision:
        route_id = _route_id(state, route)
        return decisions.record_status(state, route_id, new_status, reason=reason)

    await _carry_out(deployment, endpoint, decide, yes=yes)


@events.command("import")
@click.option("--from", "origin", type=click.Choice([SOURCE]), required=True)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@command_of
async def import_events(deployment: Deployment, *, origin: str, file: Path) -> None:
    """Import what another system's producers wrote, as our events.

    FILE is a capture of Redis commands, one JSON object a line. What tells nothing new is not
    recorded, so nothing is asked; the same file can be imported again.

    \b
    Example: routestream events import --from backend-ai capture.jsonl
    """
    from_there = msgspec.structs.replace(deployment, source=origin)
    click.echo(f"{file}: append what it tells to the log {deployment.namespace!r}", err=True)
    async with from_there.open_log(create=True) as log:
        counts = await import_capture(log, file)
    for name, count in msgspec.to_builtins(counts).items():
        click.echo(f"{name.replace('_', ' ')}: {count}")


async def _carry_out(
    deployment: Deployment,
    endpoint: str | UUID,
    decide: Callable[[Endpoint], Decision],
    *,
    yes: bool,
) -> Recorded:
    """Show what the decision changes, ask, append it, and say what was appended."""

    def decide_and_ask(state: Endpoint) -> Decision:
        decision = decide(state)
        if decision:
            confirm(plan_of(state, decision), yes=yes)
        return decision

    async with deployment.open_log(create=True) as log:
        endpoint_id = endpoint if isinstance(endpoint, UUID) else await find_endpoint(log, endpoint)
        recorded = await EndpointService(log).record(endpoint_id, decide_and_ask)
    if not recorded.entry_ids:
        click.echo("nothing to record: it is so already", err=True)
    for entry_id, event in zip(recorded.entry_ids, recorded.decision, strict=True):
        click.echo(f"appended {entry_id} {event.wire_name}", err=True)
    return recorded


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


def _route_id(endpoint: Endpoint, text: str) -> UUID:
    """Find a route of the endpoint by its id, or the beginning of it."""
    found = [r.route_id for r in endpoint.present_routes if str(r.route_id).startswith(text)]
    if len(found) > 1:
        raise click.UsageError(f"route {text!r} could be {', '.join(map(str, found[:5]))}")
    if found:
        return found[0]
    try:
        return UUID(text)
    except ValueError:
        raise NotFoundError(
            f"endpoint {endpoint.endpoint_id} has no route whose id begins with {text!r}"
        ) from None
