"""Shows a decision to a person, asks for confirmation, and appends its events."""

from collections.abc import Callable
from uuid import UUID

from consumers.cli.deployment import Deployment
from consumers.cli.endpoints.changed_fields import changed_fields
from consumers.cli.endpoints.named_endpoint import endpoint_id_of
from consumers.cli.terminal.messages import say, say_note
from consumers.cli.terminal.output import confirm
from events.catalogue.endpoint import EndpointCreatedEvent
from producers.endpoints.decisions import Decision
from producers.endpoints.endpoint_service import EndpointService, Recorded
from producers.endpoints.remarks import remarks_on
from projections.route_table.endpoint import Endpoint


async def confirm_and_append(
    deployment: Deployment,
    endpoint: str | UUID,
    decide: Callable[[Endpoint], Decision],
    *,
    yes: bool,
    created: EndpointCreatedEvent | None = None,
) -> Recorded:
    """Show what the decision changes, ask, append it, and say what was appended.

    Return both. The name of an endpoint that is to be *created* is claimed before.
    """

    def decide_and_ask(state: Endpoint) -> Decision:
        decision = decide(state)
        if decision:
            for remark in remarks_on(state, decision):
                say_note(remark)
            confirm(changed_fields(state, decision), yes=yes)
        return decision

    async with deployment.open_log(create=True) as log:
        endpoint_id = (
            endpoint if isinstance(endpoint, UUID) else await endpoint_id_of(log, endpoint)
        )
        service = EndpointService(log)
        if created is None:
            recorded = await service.record(endpoint_id, decide_and_ask)
        else:  # a name is claimed only by somebody who means it
            decide_and_ask(await service.read(endpoint_id))
            await service.claim_name(created)
            recorded = await service.record(endpoint_id, decide)
    if not recorded.entry_ids:
        say("nothing to record: it is so already")
    for entry_id, event in zip(recorded.entry_ids, recorded.decision, strict=True):
        say(f"appended {entry_id} {event.wire_name}")
    return recorded
