"""What is found of a Redis Cluster: who serves the slots, and what happens when one is gone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from consumers.doctor.cluster.cluster_facts import ClusterFacts, ClusterShard
from consumers.doctor.finding import Finding, counted, error, ok, warning

UNEVEN = 1.5
"""So many times the mean of partitions on one node are too many: it limits all of the log."""

SLOTS = 16_384

NODE_TIMEOUT_MS = 10_000


def cluster_findings(facts: ClusterFacts | None) -> Iterator[Finding]:
    """Yield what is found of the cluster."""
    if facts is None:
        return
    if facts.shards:
        yield _slots(facts.shards)
        yield _replicas(facts.shards)
    yield from _failover(facts.settings)


def away_finding(at: str, why: str) -> Finding:
    """Return what it means that a master does not answer."""
    return error(
        f"{at}presence",
        "it does not answer: its partitions take no appends, and are not read",
        why,
        to_do="start it, or see why no replica took over (`redis-cli CLUSTER SHARDS`)",
    )


def _slots(shards: Sequence[ClusterShard]) -> Finding:
    away = [*_unserved(shards)]
    if not away:
        return ok("cluster slots", "all slots are served", counted(len(shards), "master"))
    return error(
        "cluster slots",
        "some slots have no master: the partitions in them take no appends and are not read",
        ", ".join(f"{first} to {last}" for first, last in away),
        to_do="start their master, or see why no replica took over (`redis-cli CLUSTER SHARDS`)",
    )


def _unserved(shards: Sequence[ClusterShard]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of slots that no master serves; a dead one may be left out."""
    served = sorted(
        pair
        for shard in shards
        if shard.is_served
        for pair in zip(shard.slots[::2], shard.slots[1::2], strict=True)
    )
    after = 0
    for first, last in (*served, (SLOTS, SLOTS)):
        if first > after:
            yield after, first - 1
        after = last + 1


def _replicas(shards: Sequence[ClusterShard]) -> Finding:
    alone = sum(not shard.replicas for shard in shards)
    if not alone:
        return ok("cluster replicas", "every master has a replica that is there")
    return warning(
        "cluster replicas",
        "a master without a replica takes its partitions with it when it dies",
        counted(alone, "master") + " without",
        to_do="add replicas (`redis-cli --cluster add-node ... --cluster-slave`)",
    )


def spread_findings(places: Sequence[str]) -> Iterator[Finding]:
    """Yield how evenly the partitions are spread; *places* has the node of each."""
    counts = Counter(places)
    if len(counts) < 2:
        return
    figure = ", ".join(f"{node}: {count}" for node, count in sorted(counts.items()))
    if max(counts.values()) <= UNEVEN * max(1, len(places) / len(counts)):
        yield ok("cluster partitions", "they are spread over the nodes", figure)
        return
    yield warning(
        "cluster partitions",
        "one node has many more than the others: it limits the whole log",
        figure,
        to_do="move the slots of single partitions (`redis-cli CLUSTER KEYSLOT '{NS:P}:events'`)",
    )


def _failover(settings: Mapping[str, str]) -> Iterator[Finding]:
    if settings.get("cluster-require-full-coverage") == "yes":
        yield warning(
            "cluster coverage",
            "when the slots of one master are away, the whole log is",
            "cluster-require-full-coverage yes",
            to_do="on every node: redis-cli CONFIG SET cluster-require-full-coverage no",
        )
    timeout_ms = int(settings.get("cluster-node-timeout", 0))
    if timeout_ms > NODE_TIMEOUT_MS:
        yield warning(
            "cluster node timeout",
            "a dead master is replaced only after this time and some more; appends wait for 20 s",
            f"{timeout_ms} ms",
            to_do="on every node: redis-cli CONFIG SET cluster-node-timeout 5000",
        )
