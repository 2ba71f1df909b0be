"""Decide what is due of a gradual rollout that its endpoint's state tells of; it is pure."""

from producers.rollout.health_gate import GateSettings, Reports, worse
from producers.rollout.rollout_decisions import Decision, go_back, roll_out
from projections.route_table.endpoint import Endpoint


def is_gradual(endpoint: Endpoint) -> bool:
    """Whether its traffic is split as a step of a gradual rollout, the last one included."""
    return endpoint.rollout is not None and endpoint.rollout.every_s > 0


def is_under_way(endpoint: Endpoint, now_ms: int) -> bool:
    """Whether a gradual rollout has steps ahead, or its last one is still watched."""
    rollout = endpoint.rollout
    if rollout is None or not is_gradual(endpoint):
        return False
    return bool(rollout.percents) or not _is_due(endpoint, now_ms)


def due_step(endpoint: Endpoint, now_ms: int, reports: Reports, settings: GateSettings) -> Decision:
    """Return the way back where the new revision does worse, the next step where that is due.

    All that it depends on is in the endpoint's state: whoever asks, and how often, the steps are
    the same, and where nobody asks the traffic stays as it is. A step that comes late does not make
    the next one come sooner.

    Args:
        endpoint: The endpoint's state.
        now_ms: The server's clock.
        reports: What proxies have lately reported of its routes.
        settings: When the new revision does worse.
    """
    rollout = endpoint.rollout
    if rollout is None or not is_under_way(endpoint, now_ms):
        return ()
    reason = worse(endpoint, rollout, reports, settings)
    if reason is not None:
        return go_back(endpoint, reason) if rollout.back else ()
    if not _is_due(endpoint, now_ms):
        return ()
    return roll_out(endpoint, rollout.to, rollout.percents, every_s=rollout.every_s)


def _is_due(endpoint: Endpoint, now_ms: int) -> bool:
    every_s = 0.0 if endpoint.rollout is None else endpoint.rollout.every_s
    return now_ms - endpoint.split_at.ms >= every_s * 1_000
