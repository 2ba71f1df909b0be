"""The settings of a health checker."""

from typing import Annotated

from msgspec import Meta

from events.catalogue.health_check import INTERVAL_MIN_S
from events.limits import Limited
from producers.checker.address_policy import EVERYWHERE, networks_in
from producers.checker.verdict import VerdictSettings


class CheckerSettings(Limited, frozen=True):
    """How a checker probes.

    Attributes:
        backoff_after_s: After so many seconds unhealthy the interval begins to grow: it is twice as
            long after twice the time. It stays below what makes health stale.
        backoff_times_max: What the interval is multiplied by at most; 1: it never grows.
        concurrency_max: Probes that are under way at the same time; half of them for one endpoint.
        fast_interval_s: Time between two probes while a failing route is not unhealthy yet, where
            that is shorter than its interval; None: its interval holds.
        host_concurrency_max: Those of them that go to one host; half of them for one endpoint.
        interval_min_s: The least time between two probes of a route, whatever its interval.
        networks: The networks that may be connected to, such as `10.0.0.0/8`. Loopback, link-local
            and metadata addresses, multicast and what is reserved need a network of their own, such
            as `127.0.0.0/8`. A route elsewhere is not probed, and its health becomes stale.
        jitter: The part of an interval by which it is drawn shorter, 0 to 0.5.
        reported_gap_s: The least time between two probes of a route that proxies' reports of failed
            requests bring forward.
        report_s: Time between two reports of when the routes were last probed.
        update_interval_s: The least time between two looks at the changed route table.
        warm_up_interval_s: Time between two probes of a route that warms up, which means that its
            health check has a warm-up time and it had no success yet, where that is shorter than
            its interval.
        verdict: When a route flaps.
    """

    backoff_after_s: Annotated[float, Meta(ge=0.01, le=604_800)] = 600.0
    backoff_times_max: Annotated[float, Meta(ge=1, le=1_000)] = 4.0
    concurrency_max: Annotated[int, Meta(ge=1, le=10_000)] = 2_048
    fast_interval_s: Annotated[float, Meta(ge=0.01, le=86_400)] | None = None
    host_concurrency_max: Annotated[int, Meta(ge=1, le=10_000)] = 128
    interval_min_s: Annotated[float, Meta(ge=0.01, le=86_400)] = INTERVAL_MIN_S
    networks: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)] = EVERYWHERE
    jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    reported_gap_s: Annotated[float, Meta(ge=0.01, le=3_600)] = 1.0
    report_s: Annotated[float, Meta(ge=0.01, le=60)] = 5.0
    update_interval_s: Annotated[float, Meta(ge=0, le=60)] = 0.1
    warm_up_interval_s: Annotated[float, Meta(ge=0.01, le=86_400)] = 5.0
    verdict: VerdictSettings = VerdictSettings()

    def __post_init__(self) -> None:
        super().__post_init__()
        networks_in(self.networks)
