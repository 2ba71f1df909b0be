"""Share out how many probes may be under way at once: for all routes, and for one host."""

from collections import Counter
from uuid import UUID

from producers.checker.watched_route import WatchedRoute


class _Pool:
    """A number of slots, of which nobody may take more than he leaves free for others."""

    def __init__(self, slots_max: int) -> None:
        self.free = slots_max
        self._taken: Counter[UUID] = Counter()

    def has_room(self, endpoint_id: UUID) -> bool:
        return self._taken[endpoint_id] < self.free

    def take(self, endpoint_id: UUID) -> None:
        self.free -= 1
        self._taken[endpoint_id] += 1

    def give_back(self, endpoint_id: UUID) -> None:
        self.free += 1
        self._taken[endpoint_id] -= 1
        if not self._taken[endpoint_id]:
            del self._taken[endpoint_id]

    @property
    def is_unused(self) -> bool:
        return not self._taken


class ProbeSlots:
    """The probes that may be under way at once.

    An endpoint takes a slot only while it has fewer of them than are free: one alone never takes
    more than half, and however many of them hang, the next one finds a free slot.
    """

    def __init__(self, slots_max: int, host_slots_max: int) -> None:
        self._all = _Pool(slots_max)
        self._host_slots_max = host_slots_max
        self._hosts: dict[str, _Pool] = {}

    def take(self, watch: WatchedRoute) -> bool:
        """Take a slot for a probe of *watch*; return whether there was one."""
        endpoint_id, host = watch.target.endpoint_id, watch.target.address.host
        pool = self._hosts.get(host) or _Pool(self._host_slots_max)
        if not self._all.has_room(endpoint_id) or not pool.has_room(endpoint_id):
            return False
        self._hosts[host] = pool
        self._all.take(endpoint_id)
        pool.take(endpoint_id)
        return True

    def give_back(self, watch: WatchedRoute) -> None:
        """Give back the slot that was taken for *watch*."""
        endpoint_id, host = watch.target.endpoint_id, watch.target.address.host
        self._all.give_back(endpoint_id)
        pool = self._hosts[host]
        pool.give_back(endpoint_id)
        if pool.is_unused:
            del self._hosts[host]
