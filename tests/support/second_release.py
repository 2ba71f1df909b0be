"""A second release of the program: its route table has version 2, and its names are capitals.

It runs as `python -m tests.support.second_release`, with the arguments of `routestream`.
"""

import msgspec

from consumers.__main__ import main
from events.entry.recorded import RecordedEvent
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE, evolve


def _evolve(state: Endpoint, recorded: RecordedEvent) -> Endpoint:
    after = evolve(state, recorded)
    name = after.name and after.name.upper()
    return after if name == after.name else msgspec.structs.replace(after, name=name)


if __name__ == "__main__":
    # All modules of the program share this one object, and none has asked for its version yet.
    object.__setattr__(ROUTE_TABLE, "version", 2)
    object.__setattr__(ROUTE_TABLE, "evolve", _evolve)
    main()
