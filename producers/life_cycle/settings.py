"""How long a route may wait in each phase."""

from typing import Annotated

from msgspec import Meta

from events.limits import Limited

Wait = Annotated[float, Meta(ge=0, le=2_592_000)]


class LifeCycleSettings(Limited, frozen=True):
    """How long a route may wait in each phase, in seconds of the server's clock.

    Attributes:
        provisioning_s: From its creation until its session runs; then it has failed.
        warming_up_s: From its start until its first success, where its health check has no
            `warm_up_time`; then it has failed. A route at which no checker looks does not fail.
        draining_s: From its termination until its drain is over, where that gave no time.
        terminating_s: From the end of its drain until its session is gone; then it is removed.
        evict_after_s: After it has been unhealthy for so long its eviction is proposed.
        look_every_s: The least time between two looks at the route table.
    """

    provisioning_s: Wait = 1_800.0
    warming_up_s: Wait = 1_800.0
    draining_s: Wait = 30.0
    terminating_s: Wait = 300.0
    evict_after_s: Wait = 600.0
    look_every_s: Annotated[float, Meta(ge=0.01, le=60)] = 1.0
