"""Tell a reader, once a second, of which endpoints the weights have ramped up meanwhile."""

from collections.abc import Callable, Iterable
from uuid import UUID

import anyio

from projections.route_table.endpoint import Endpoint
from projections.route_table.slow_start import SlowStart

RAMP_EVERY_S = 1.0
"""Seconds between two changes of the weights of routes that start slowly."""


class Ramps:
    """Follows the endpoints that have a route that starts slowly.

    Only endpoints that changed are looked at, and those that were ramping at the last look.
    """

    def __init__(
        self,
        endpoints: Callable[[], Iterable[Endpoint]],
        slow_start: Callable[[], SlowStart],
        tell: Callable[[Iterable[UUID]], None],
    ) -> None:
        self._endpoints = endpoints
        self._slow_start = slow_start
        self._tell = tell
        self._changed: set[UUID] | None = None
        self._ramping: set[UUID] = set()

    def note(self, endpoints: Iterable[UUID] | None) -> None:
        """Look at *endpoints* the next time, None for all."""
        if endpoints is None:
            self._changed = None
        elif self._changed is not None:
            self._changed.update(endpoints)

    async def run(self) -> None:
        """Tell every `RAMP_EVERY_S` seconds until cancelled."""
        while True:
            await anyio.sleep(RAMP_EVERY_S)
            self._look()

    def _look(self) -> None:
        """Tell of what ramps, and once more of what did: its weights are whole now."""
        changed, before = self._changed, self._ramping
        if changed is not None and not changed and not before:
            return
        now = self._slow_start()
        self._ramping = {
            one.endpoint_id
            for one in self._endpoints()
            if (changed is None or one.endpoint_id in changed or one.endpoint_id in before)
            and now.is_ramping(one)
        }
        if told := self._ramping | before:
            self._tell(told)
        self._changed = set()  # what was told of is followed already
