"""The event of a traffic split: how an endpoint's traffic is shared out between revisions."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from events.catalogue.event import Event
from events.catalogue.labels import LabelValue
from events.catalogue.route import TrafficRatio

REVISION_LABEL = "revision"
"""The label of a route that names its revision; a route without it is of the revision ""."""

SHARES_MAX = 64
"""Revisions that one traffic split may name."""

STEPS_MAX = 32
"""Steps that may lie ahead of a rollout."""

EVERY_S_MAX = 604_800.0
"""Seconds between two steps of a rollout at most: a week."""

Shares = Annotated[dict[LabelValue, TrafficRatio], Meta(max_length=SHARES_MAX)]
"""Weights by revision; what counts is each one's part of the sum. A revision not named has none."""

Percent = Annotated[float, Meta(ge=0, le=100)]


class Rollout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a traffic split is a step of.

    Attributes:
        to: The revision that takes over.
        back: The shares to go back to: those of the other revisions, as they were before.
        percents: The shares of *to* that lie ahead, in percent; none where this was the last step.
        every_s: Seconds from this step to the next, in which the health gate watches *to*; after
            the last step it watches for as long. 0: nobody does, and no step follows.
    """

    to: LabelValue
    back: Shares
    percents: Annotated[tuple[Percent, ...], Meta(max_length=STEPS_MAX)] = ()
    every_s: Annotated[float, Meta(ge=0, le=EVERY_S_MAX)] = 0.0

    def __hash__(self) -> int:
        return hash((self.to, self.percents, self.every_s))  # shares have no hash


class TrafficSplitUpdatedEvent(Event, frozen=True, kw_only=True, gc=False):
    """The endpoint's traffic is split like this from now on; no weight of a route changes.

    A revision's routes divide its share by their weights. One that has a share and no route that
    can take it leaves it to the others.

    Attributes:
        shares: The shares by revision; none: the traffic is not split, weights alone count.
        rollout: What this is a step of; None: there is nothing to go on with, or back to.
        reason: Why, for whoever asks at night.
    """

    wire_name: ClassVar[str] = "traffic_split_updated"

    shares: Shares
    rollout: Rollout | None = None
    reason: Annotated[str, Meta(max_length=1_024)] | None = None

    def __hash__(self) -> int:
        return hash((self.endpoint_id, self.rollout))  # shares have no hash
