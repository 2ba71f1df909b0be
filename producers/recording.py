"""The recording: a decision shown to a person, confirmed, and appended."""

from collections.abc import Callable
from uuid import UUID

from events.terminal.output import Deployment, confirm
from events.terminal.talk import say
from producers.decisions import Decision
from producers.endpoint_service import EndpointService
from producers.plan import plan_of
from projections.endpoint import Endpoint
from projections.endpoint_at import say_left_out
from projections.endpoint_lookup import find_endpoint


async def record(
    deployment: Deployment,
    endpoint: str | UUID,
    decide: Callable[[Endpoint], Decision],
    *,
    yes: bool,
) -> None:
    """Show what the decision changes, ask, append it, and say what was appended."""

    def decide_and_ask(state: Endpoint) -> Decision:
        decision = decide(state)
        if decision:
            confirm(plan_of(state, decision), yes=yes)
        return decision

    async with deployment.open_log(create=True) as log:
        endpoint_id = (
            endpoint
            if isinstance(endpoint, UUID)
            else await find_endpoint(log, endpoint, say_left_out)
        )
        recorded = await EndpointService(log).record(endpoint_id, decide_and_ask)
    if not recorded.entry_ids:
        say("nothing to record: it is so already")
    for entry_id, event in zip(recorded.entry_ids, recorded.decision, strict=True):
        say(f"appended {entry_id} {event.wire_name}")
