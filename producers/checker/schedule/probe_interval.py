"""Say how long a route waits for its next probe."""

import random

from producers.checker.settings import CheckerSettings
from producers.checker.watched_route import WatchedRoute
from projections.route_table.health_age import STALE_INTERVALS, stale_after_s


def drawn_interval_s(watch: WatchedRoute, settings: CheckerSettings, now_s: float) -> float:
    """Return the time from one probe's begin to the next, with jitter.

    It is shorter for a route that warms up, or that fails and is not unhealthy yet, and longer for
    one that has been unhealthy for long; never so long that its health would become stale.
    """
    check = watch.target.health_check
    interval_s = check.interval
    if watch.state.health == "unhealthy":
        unhealthy_s = max(0.0, now_s - watch.health_since_s)
        times = min(settings.backoff_times_max, unhealthy_s / settings.backoff_after_s)
        fresh_s = stale_after_s(check) / STALE_INTERVALS
        interval_s = max(interval_s, min(interval_s * times, fresh_s))
    elif watch.state.health == "not_checked" and check.warm_up_time is not None:
        interval_s = min(interval_s, settings.warm_up_interval_s)
    elif watch.state.successes == 0 and settings.fast_interval_s is not None:
        interval_s = min(interval_s, settings.fast_interval_s)
    interval_s = max(interval_s, settings.interval_min_s)
    # Never longer: a server that dies is told of after max_retries intervals.
    return interval_s * draw(1 - settings.jitter, 1)


def draw(least: float, most: float) -> float:
    """Return a number between the two."""
    return random.uniform(least, most)  # noqa: S311 - spreads load, keeps no secret
