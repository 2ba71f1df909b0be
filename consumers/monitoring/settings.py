"""The settings of metrics and health: where they are served, and when a process is unwell."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from consumers.monitoring.vitals import VitalsSettings
from events.limits import Limited

PORT = 9_464

PORTS_TRIED = 100
"""Ports that are tried one after another, from the wanted one on."""

_PORT_MAX = 65_535


class MetricsSettings(Limited, frozen=True):
    """Where a process serves its metrics and health.

    Attributes:
        enabled: Whether they are served at all.
        host: The address to listen on. Whoever can reach it can read them.
        port: The port of a process that runs alone, and of a supervisor; the processes that a
            supervisor starts have the ports after it, in the order in which they are started. A
            port that is taken is passed over for the next free one; 0 takes any. The log says
            which it became, and so does `groups show`.
        vitals: When a process counts as not alive.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=_PORT_MAX)] = PORT
    vitals: VitalsSettings = VitalsSettings()

    @property
    def ports(self) -> Sequence[int]:
        """The ports to try, in this order."""
        if not self.port:
            return (0,)
        return range(self.port, min(self.port + PORTS_TRIED, _PORT_MAX + 1))

    def port_of(self, slot: int) -> int:
        """Return the port of a supervisor's process number *slot*, from 0; 0 is any free port."""
        port = self.port + 1 + slot
        return port if self.port and port <= _PORT_MAX else 0
