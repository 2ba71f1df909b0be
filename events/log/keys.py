"""The keys of a deployment: what is stored where (see the design, section 5)."""

import re
from uuid import UUID
from zlib import crc32

import msgspec

from events.errors import InvalidNamespaceError, LayoutError

NAMESPACE = "routestream"
"""The deployment that is used if none is named."""

PARTITIONS_MAX = 1_024

NAMESPACE_CHARACTERS_MAX = 100

_NAMESPACE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{NAMESPACE_CHARACTERS_MAX - 1}}}")


class Keys(msgspec.Struct, frozen=True):
    """The names of all keys of the deployment *namespace*; see `check_namespace`.

    The braces put all keys of one partition into one cluster slot, so that one script can use them.
    """

    namespace: str = NAMESPACE

    def __post_init__(self) -> None:
        check_namespace(self.namespace)

    @property
    def of_what(self) -> str:
        """What the keys belong to, as an error names it."""
        return f"the log {self.namespace!r}"

    @property
    def layout(self) -> str:
        """Hash: how the log was created; its fields `partitions` and `identity` never change.

        `copy-of` is the identity of the log that is being copied into it, `moved-to` the place that
        it has moved to.
        """
        return f"{self.namespace}:layout"

    @property
    def names(self) -> str:
        """Hash: name -> the endpoint that has it, and when it claimed it."""
        return f"{self.namespace}:names"

    @property
    def checkers(self) -> str:
        """Sorted set: the health checkers, by the server's clock (ms) at their last sign of life.

        Those that died stay until another takes their place, so that it is seen how many lack.
        """
        return f"{self.namespace}:checkers"

    @property
    def processes(self) -> str:
        """Hash: process -> the server's clock (ms) at its last sign of life, its group, its facts.

        The three are a line each; the facts are JSON.
        """
        return f"{self.namespace}:processes"

    @property
    def processes_changed(self) -> str:
        """Stream of one entry: when a process that shares its group's work last came or went."""
        return f"{self.namespace}:processes-changed"

    @property
    def proxies(self) -> str:
        """Hash: publisher and proxy -> what the proxy has acknowledged, as JSON."""
        return f"{self.namespace}:proxies"

    def events(self, partition: int) -> str:
        """Stream: the partition."""
        return f"{{{self.namespace}:{partition}}}:events"

    @property
    def events_pattern(self) -> str:
        """The pattern by which `SCAN` finds the streams of all partitions."""
        return f"{{{self.namespace}:*}}:events"

    def identity(self, partition: int) -> str:
        """Hash: which log the partition belongs to; its field `identity` is that of the layout.

        `accepted` changes when a person decides to go on without what is missing of the history,
        and `missing:GROUP` is what a group found missing.
        """
        return f"{{{self.namespace}:{partition}}}:identity"

    def heads(self, partition: int) -> str:
        """Hash: endpoint -> entry id of its last event."""
        return f"{{{self.namespace}:{partition}}}:heads"

    def probed(self, partition: int) -> str:
        """Sorted set: `ENDPOINT:ROUTE`, by the server's clock (ms) at the route's last probe."""
        return f"{{{self.namespace}:{partition}}}:probed"

    def requests(self, partition: int) -> str:
        """Hash, bounded, expires: `ENDPOINT:ROUTE` -> how its requests ended, as proxies say."""
        return f"{{{self.namespace}:{partition}}}:requests"

    def failed_requests(self, partition: int) -> str:
        """Stream, bounded, expires: routes whose requests failed; checkers probe them at once."""
        return f"{{{self.namespace}:{partition}}}:failed-requests"

    def probe_results(self, partition: int) -> str:
        """Hash, expires: `ENDPOINT:ROUTE` -> how the route's last probe ended, as JSON."""
        return f"{{{self.namespace}:{partition}}}:probe-results"

    def event_ids(self, partition: int) -> str:
        """Hash: event id -> the entry that has it.

        Its field `counted` is the entry up to which all entries are in it, and in the heads.
        """
        return f"{{{self.namespace}:{partition}}}:event-ids"

    def of_append(self, partition: int) -> list[str]:
        """Return the keys of the scripts that add entries."""
        own = [self.events(partition), self.heads(partition), self.event_ids(partition)]
        return [*own, self.seal(partition)]

    @property
    def moving(self) -> str:
        """String, expires: the log is about to move, handlers wait until that is done."""
        return f"{self.namespace}:moving"

    def seal(self, partition: int) -> str:
        """String, expires unless the move is done: the log that the partition moves to."""
        return f"{{{self.namespace}:{partition}}}:seal"

    def copied(self, partition: int) -> str:
        """Hash: partition of the log that this one is a copy of -> its last entry that is here."""
        return f"{{{self.namespace}:{partition}}}:copied"

    def generations(self, partition: int) -> str:
        """Hash: projection -> the highest generation number ever given out.

        More fields for each projection: `PROJECTION:changes`, the id of the change feed's last
        entry; `PROJECTION:documents`, how many documents the live generation has;
        `PROJECTION:kept`, the generation that was live before; `PROJECTION:kept-since`, an entry up
        to which, exclusive, the kept generation has folded all.
        """
        return f"{{{self.namespace}:{partition}}}:generations"

    def live(self, partition: int, projection: str) -> str:
        """String: the number of the projection's live generation."""
        return f"{{{self.namespace}:{partition}}}:{projection}:live"

    def pause(self, partition: int, projection: str) -> str:
        """String, expires at once: the generation that the group waits for, for how many ms."""
        return f"{{{self.namespace}:{partition}}}:{projection}:pause"

    def documents(self, partition: int, projection: str, generation: int) -> str:
        """Hash: endpoint -> document."""
        return f"{{{self.namespace}:{partition}}}:{projection}:{generation}"

    def changes(self, partition: int, projection: str) -> str:
        """Stream, bounded: the change feed."""
        return f"{{{self.namespace}:{partition}}}:{projection}:changes"

    def positions(self, partition: int) -> str:
        """Hash: holder of a position in the partition -> the entry id."""
        return f"{{{self.namespace}:{partition}}}:positions"

    def snapshots(self, partition: int) -> str:
        """Hash: read model and process -> when it looked, the newest snapshot it found, and where.

        With an empty process it is the snapshot that was taken last.
        """
        return f"{{{self.namespace}:{partition}}}:snapshots"

    def losses(self, partition: int) -> str:
        """Stream, bounded: entries that groups found gone before they had read them."""
        return f"{{{self.namespace}:{partition}}}:losses"

    def lost(self, partition: int) -> str:
        """Hash: group -> how many entries it ever found gone before reading them."""
        return f"{{{self.namespace}:{partition}}}:lost"

    def losses_seen(self, partition: int, group: str) -> str:
        """Hash: the group's losses that an operator has seen: `entries`, and `last`, its id."""
        return f"{{{self.namespace}:{partition}}}:losses-seen:{group}"

    def delivered(self, partition: int, group: str) -> str:
        """String: up to where the group was delivered, and how many entries were removed so far.

        It is written right after each read; so a group that somebody moved is noticed.
        """
        return f"{{{self.namespace}:{partition}}}:delivered:{group}"

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
        """Stream of one entry: when an owner last gave up the partition by itself."""
        return f"{{{self.namespace}:{partition}}}:handover:{group}"

    def tries(self, partition: int, group: str) -> str:
        """Hash: pending entry -> tries begun, failures, when the next is due (server's ms)."""
        return f"{{{self.namespace}:{partition}}}:tries:{group}"

    def hand(self, partition: int, group: str) -> str:
        """Set, bounded: the pending entries that the partition's owner holds in memory."""
        return f"{{{self.namespace}:{partition}}}:hand:{group}"

    def aside(self, partition: int, group: str) -> str:
        """Hash: endpoint -> its first pending entry that is not in the owner's hands.

        One more field, `sorted`: up to which entry, inclusive, all pending ones are in hand, or
        belong to an endpoint that is named here.
        """
        return f"{{{self.namespace}:{partition}}}:aside:{group}"


def check_namespace(namespace: str) -> str:
    """Return *namespace*, which is a part of keys, patterns of keys, and names of folders.

    Raises:
        InvalidNamespaceError: It has characters that mean something there, or is too long.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise InvalidNamespaceError(namespace, NAMESPACE_CHARACTERS_MAX)
    return namespace


def partition_of(endpoint_id: UUID, partitions: int) -> int:
    """Return the partition that the events of *endpoint_id* lie on."""
    return crc32(endpoint_id.bytes) % partitions


def check_partitions(partitions: int) -> int:
    """Return *partitions*; raise LayoutError if a log cannot have that many."""
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise LayoutError(f"partitions: {partitions} is not allowed, 1 to {PARTITIONS_MAX} are")
    return partitions
