"""The keys of a deployment: what is stored where (see the design, section 5)."""

from uuid import UUID
from zlib import crc32

import msgspec

from events.errors import LayoutError

NAMESPACE = "routestream"
"""The deployment that is meant where none is named."""

PARTITIONS_MAX = 1_024


class Keys(msgspec.Struct, frozen=True):
    """The names of all keys of the deployment *namespace*.

    The braces make all that one partition owns lie in one cluster slot, so that one script can
    touch it.
    """

    namespace: str = NAMESPACE

    @property
    def of_what(self) -> str:
        """What they are the keys of, in an error's words."""
        return f"the log {self.namespace!r}"

    @property
    def layout(self) -> str:
        """Hash: how the log was made; its field `partitions` never changes."""
        return f"{self.namespace}:layout"

    @property
    def checkers(self) -> str:
        """Sorted set: the living health checkers, by the time of their last sign."""
        return f"{self.namespace}:checkers"

    def events(self, partition: int) -> str:
        """Stream: the partition."""
        return f"{{{self.namespace}:{partition}}}:events"

    @property
    def events_pattern(self) -> str:
        """What `SCAN` finds the streams of all partitions by."""
        return f"{{{self.namespace}:*}}:events"

    def heads(self, partition: int) -> str:
        """Hash: endpoint -> entry id of its last event."""
        return f"{{{self.namespace}:{partition}}}:heads"

    def appended(self, partition: int, event_id: str) -> str:
        """String: first entry id and count of the append that begins with this event; expires."""
        return f"{{{self.namespace}:{partition}}}:appended:{event_id}"

    def generations(self, partition: int) -> str:
        """Hash, its fields for each projection: the highest generation number ever given out.

        Beside it `PROJECTION:changes`, the id of the change feed's last entry, and
        `PROJECTION:documents`, how many documents the live generation has, `PROJECTION:kept`, the
        generation that was live before, and `PROJECTION:kept-since`, an entry before which that has
        folded all.
        """
        return f"{{{self.namespace}:{partition}}}:generations"

    def live(self, partition: int, projection: str) -> str:
        """String: the number of the projection's live generation."""
        return f"{{{self.namespace}:{partition}}}:{projection}:live"

    def pause(self, partition: int, projection: str) -> str:
        """String, expires at once: the generation for whose change-over the group waits."""
        return f"{{{self.namespace}:{partition}}}:{projection}:pause"

    def documents(self, partition: int, projection: str, generation: int) -> str:
        """Hash: endpoint -> document."""
        return f"{{{self.namespace}:{partition}}}:{projection}:{generation}"

    def changes(self, partition: int, projection: str) -> str:
        """Stream, bounded: the change feed."""
        return f"{{{self.namespace}:{partition}}}:{projection}:changes"

    def positions(self, partition: int) -> str:
        """Hash: who keeps a position of its own in the partition -> the entry id."""
        return f"{{{self.namespace}:{partition}}}:positions"

    def losses(self, partition: int) -> str:
        """Stream, bounded: what groups found gone before they had read it."""
        return f"{{{self.namespace}:{partition}}}:losses"

    def lost(self, partition: int) -> str:
        """Hash: group -> how many entries it ever found gone."""
        return f"{{{self.namespace}:{partition}}}:lost"

    def operations(self, partition: int) -> str:
        """Stream, bounded: what people did to the groups and dead letters, who, when and why."""
        return f"{{{self.namespace}:{partition}}}:operations"

    def requeues(self, partition: int, group: str) -> str:
        """Hash, bounded: entry id -> how often it was requeued for the group."""
        return f"{{{self.namespace}:{partition}}}:requeues:{group}"

    def errors(self, partition: int, group: str) -> str:
        """Hash, bounded: pending entry -> the error that its last failed try ended with."""
        return f"{{{self.namespace}:{partition}}}:errors:{group}"

    def dead(self, partition: int, group: str) -> str:
        """Stream: the group's dead letters."""
        return f"{{{self.namespace}:{partition}}}:dead:{group}"

    def lease(self, partition: int, group: str) -> str:
        """String, expires: the owner of the partition in a handler group, as long as it lives."""
        return f"{{{self.namespace}:{partition}}}:lease:{group}"

    def fence(self, partition: int, group: str) -> str:
        """String: the owner that the partition had last; only it may end the group's entries."""
        return f"{{{self.namespace}:{partition}}}:fence:{group}"

    def handover(self, partition: int, group: str) -> str:
        """Stream of one entry: when an owner last gave the partition away by itself."""
        return f"{{{self.namespace}:{partition}}}:handover:{group}"

    def tries(self, partition: int, group: str) -> str:
        """Hash: pending entry -> tries begun, failures, when the next is due (server's ms)."""
        return f"{{{self.namespace}:{partition}}}:tries:{group}"


def partition_of(endpoint_id: UUID, partitions: int) -> int:
    """Return the partition that the events of *endpoint_id* lie on."""
    return crc32(endpoint_id.bytes) % partitions


def check_partitions(partitions: int) -> int:
    """Return *partitions*; raise LayoutError where a log cannot have that many."""
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise LayoutError(f"partitions: {partitions} is not allowed, 1 to {PARTITIONS_MAX} are")
    return partitions
