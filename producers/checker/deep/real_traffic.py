"""Ask whether users' requests to a route succeeded lately: then a deep check says nothing new."""

from events.errors import EventsError
from events.log.log import EventLog
from projections.requests.request_counts import read_request_counts
from projections.route_table.health_age import RouteKey


class RealTraffic:
    """Knows of users' requests what proxies report."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def succeeded(self, route: RouteKey, within_s: float) -> bool:
        """Whether a request succeeded within *within_s* seconds, and none has failed since.

        While that is not known it counts as no.
        """
        try:
            found = await read_request_counts(self._log, [route], within_s)
        except EventsError:
            return False
        return bool(found[route].successes) and found[route].succeeded_ms > found[route].failed_ms
