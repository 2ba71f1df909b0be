"""Takes the steps of a recorded rollout, one after the other, and says so."""

import anyio
import click

from consumers.cli.deployment import Deployment
from consumers.cli.endpoints.named_endpoint import endpoint_id_of
from consumers.cli.terminal.event_summary import split_text
from consumers.cli.terminal.messages import say
from events.errors import ServerUnavailableError, UncertainAppendError
from events.log.log import EventLog
from producers.endpoints.endpoint_service import EndpointService
from producers.errors import BacklogError, ContendedEndpointError
from producers.rollout.due_step import is_under_way
from producers.rollout.rollout_keeper import LOOK_EVERY_S, keep_rollout, server_ms
from projections.route_table.endpoint import Endpoint

_PASSING = (ServerUnavailableError, UncertainAppendError, ContendedEndpointError, BacklogError)
"""What passes: a step that was recorded all the same is found in the log."""


class FollowedRollout:
    """Takes the steps of one endpoint's rollout as they become due, as a command.

    Attributes:
        begun: Whether a rollout is known to be under way: then it waits for a server that is away.
    """

    def __init__(self, deployment: Deployment, endpoint: str, *, begun: bool) -> None:
        self._deployment = deployment
        self._endpoint = endpoint
        self._state: Endpoint | None = None
        self.begun = begun

    async def run(self) -> None:
        """Take the steps until the last one has been watched.

        Raises:
            click.exceptions.Exit: The traffic went back; with exit code 1.
        """
        while True:
            try:
                async with self._deployment.open_log() as log:
                    await self._follow(log, EndpointService(log))
                    return
            except _PASSING as error:
                if not self.begun:
                    raise
                say(f"trying again: {error}")
            await anyio.sleep(LOOK_EVERY_S)

    async def _follow(self, log: EventLog, service: EndpointService) -> None:
        if self._state is None:
            self._state = await service.read(await endpoint_id_of(log, self._endpoint))
        self.begun = self.begun or is_under_way(self._state, await server_ms(log))
        while self._state.rollout is not None:
            if not is_under_way(self._state, await server_ms(log)):
                break
            await anyio.sleep(min(LOOK_EVERY_S, self._state.rollout.every_s))
            await keep_rollout(log, service, self._state, self._deployment.settings.rollout)
            before, self._state = self._state, await service.read(self._state.endpoint_id)
            if self._state.split_at > before.split_at:
                say(f"{self._state.split_at} {split_text(self._state.split, self._state.rollout)}")
        if self._state.rollout is not None or not self.begun:
            say("no step lies ahead")
            return
        say(f"the traffic went back: {self._state.split_reason or split_text(self._state.split)}")
        raise click.exceptions.Exit(1)
