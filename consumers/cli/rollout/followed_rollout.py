"""Takes the steps of a recorded rollout, one after the other, and says so."""

import anyio
import click

from consumers.cli.deployment import Deployment
from consumers.cli.endpoints.named_endpoint import endpoint_id_of
from consumers.cli.terminal.event_summary import split_text
from consumers.cli.terminal.messages import say
from events.errors import ServerUnavailableError
from events.log.log import EventLog
from producers.endpoints.endpoint_service import EndpointService
from producers.rollout.due_step import is_under_way
from producers.rollout.health_gate import GateSettings
from producers.rollout.rollout_keeper import LOOK_EVERY_S, keep_rollout, server_ms
from projections.route_table.endpoint import Endpoint


async def follow_rollout(deployment: Deployment, endpoint: str) -> None:
    """Take the steps as they become due, until the last one has been watched.

    Raises:
        click.exceptions.Exit: The traffic went back; with exit code 1.
    """
    async with deployment.open_log() as log:
        service = EndpointService(log)
        state = await service.read(await endpoint_id_of(log, endpoint))
        if not is_under_way(state, await server_ms(log)):
            say("no step lies ahead")
            return
        while state.rollout is not None:
            await anyio.sleep(min(LOOK_EVERY_S, state.rollout.every_s))
            try:
                state, is_over = await _next(log, service, state, deployment.settings.rollout)
            except ServerUnavailableError as error:
                say(f"trying again: {error}")
                continue
            if is_over:
                say("no step lies ahead")
                return
    say(f"the traffic went back: {state.split_reason or split_text(state.split)}")
    raise click.exceptions.Exit(1)


async def _next(
    log: EventLog, service: EndpointService, before: Endpoint, settings: GateSettings
) -> tuple[Endpoint, bool]:
    """Record what is due; return the state after that, and whether the rollout is over."""
    await keep_rollout(log, service, before, settings)
    state = await service.read(before.endpoint_id)
    if state.split_at > before.split_at:
        say(f"{state.split_at} {split_text(state.split, state.rollout)}")
    is_over = state.rollout is not None and not is_under_way(state, await server_ms(log))
    return state, is_over
