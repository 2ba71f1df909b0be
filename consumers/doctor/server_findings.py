"""Derives findings about a server from the facts that were read."""

from collections.abc import Iterator

from consumers.doctor.finding import Finding, error, ok, size_in_words, warning
from consumers.doctor.server_facts import ServerFacts
from events.server.server import VERSION_MIN

MEMORY_WARNING = 0.80
MEMORY_ERROR = 0.95
CLOCK_WARNING_S = 2.0
CLOCK_ERROR_S = 60.0
REPLICA_LAG_S = 10
"""A replica without a sign for this long would lose at least as much in a failover."""

CUT_OFF_MAX_S = 2
"""How long a master that is cut off may go on taking appends."""

_COORDINATED_SINCE = 9
"""The first Valkey whose sentinels let the old master wait for the new one."""


def server_findings(facts: ServerFacts) -> Iterator[Finding]:
    """Yield the findings of a server; what it refused to tell is left out."""
    yield from _version(facts)
    if facts.persistence:
        yield from _persistence(facts)
    if facts.memory:
        yield from _memory(facts)
    if facts.replication:
        yield from _replication(facts)
        if facts.watched_as and facts.replication.get("role") != "slave":
            yield from _failover(facts)
    yield from _clock(facts)
    yield from _rights(facts)


def _version(facts: ServerFacts) -> Iterator[Finding]:
    version = facts.server.get("valkey_version") or facts.server.get("redis_version")
    if version is None:
        return
    name = "Valkey" if "valkey_version" in facts.server else "Redis"
    if tuple(int(part) for part in str(version).split(".")[:2]) < VERSION_MIN:
        yield error("version", "the server is too old", version, to_do="install Redis 7.0 or newer")
    else:
        yield ok("version", f"{name} is new enough", version)


def _persistence(facts: ServerFacts) -> Iterator[Finding]:
    persistence = facts.persistence
    if facts.is_loading:
        left_s = persistence.get("loading_eta_seconds", "?")
        yield error(
            "loading",
            "the server is reading its file and answers nothing else",
            f"{left_s} s left",
            to_do="wait until it has loaded, and ask again",
        )
    if not persistence.get("aof_enabled"):
        yield error(
            "append-only file",
            "it is off: a crash of the server loses events that were answered as appended",
            "appendonly no",
            to_do="redis-cli CONFIG SET appendonly yes && redis-cli CONFIG REWRITE",
        )
    else:
        yield from _append_only_file(facts)
    if persistence.get("rdb_last_bgsave_status", "ok") != "ok":
        stops = facts.settings.get("stop-writes-on-bgsave-error", "yes") == "yes"
        say = error if stops and facts.settings.get("save", "") else warning
        yield say(
            "last save",
            "the last save to disk failed" + ("; writes are refused: MISCONF" if stops else ""),
            persistence["rdb_last_bgsave_status"],
            to_do="make room on the server's disk, then redis-cli BGSAVE",
        )


def _append_only_file(facts: ServerFacts) -> Iterator[Finding]:
    persistence, fsync = facts.persistence, facts.settings.get("appendfsync")
    if persistence.get("aof_last_write_status", "ok") != "ok":
        yield error(
            "append-only file",
            "the last write to it failed; appends are refused until one succeeds",
            persistence["aof_last_write_status"],
            to_do="make room on the server's disk",
        )
    elif persistence.get("aof_last_bgrewrite_status", "ok") != "ok":
        yield warning(
            "append-only file",
            "its last rewrite failed: it grows without end",
            persistence["aof_last_bgrewrite_status"],
            to_do="make room on the server's disk, then redis-cli BGREWRITEAOF",
        )
    elif fsync == "no":
        yield warning(
            "append-only file",
            "the system decides when it reaches the disk: a power cut loses about 30 s of events",
            "appendfsync no",
            to_do="redis-cli CONFIG SET appendfsync everysec && redis-cli CONFIG REWRITE",
        )
    else:
        yield ok("append-only file", "it is on", f"appendfsync {fsync or 'not told'}")


def _memory(facts: ServerFacts) -> Iterator[Finding]:
    memory = facts.memory
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        yield ok("eviction", "nothing is evicted", policy)
    else:
        say = error if policy.startswith("allkeys") else warning
        yield say(
            "eviction",
            "the log or the read models can be evicted, the quietest first"
            if policy.startswith("allkeys")
            else "what expires can be evicted, and with it the proof that an append has landed",
            policy,
            to_do="redis-cli CONFIG SET maxmemory-policy noeviction && redis-cli CONFIG REWRITE",
        )
    used, most = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
    is_limited = most > 0
    most = most or int(memory.get("total_system_memory", 0))
    if not most:
        return
    part = used / most
    figure = f"{size_in_words(used)} of {size_in_words(most)} ({part:.0%})"
    if part >= MEMORY_WARNING:
        say = error if part >= MEMORY_ERROR else warning
        yield say(
            "memory",
            "it is nearly full; when it is full, appends are refused"
            if is_limited
            else "the server uses most of its machine's memory, and has no limit",
            figure,
            to_do="routestream streams trim, or redis-cli CONFIG SET maxmemory MORE",
        )
    else:
        yield ok("memory", "there is room" if is_limited else "there is room, and no limit", figure)


def _replication(facts: ServerFacts) -> Iterator[Finding]:
    replication = facts.replication
    if replication.get("role") == "slave":
        yield error(
            "role",
            "this is a replica: nothing can be appended here",
            f"replica of {replication.get('master_host')}:{replication.get('master_port')}",
            to_do="set REDIS_URL to its master, or redis-cli REPLICAOF NO ONE to promote it",
        )
        if replication.get("master_link_status") != "up":
            down_s = replication.get("master_link_down_since_seconds", "?")
            yield error(
                "link to the master",
                "it is down: what is read here grows older",
                f"for {down_s} s" if down_s != -1 else "never was up",
                to_do="see whether the master runs, and what the log of this server says",
            )
        return
    yield ok("role", "this is a master", f"{len(facts.replicas)} replicas")
    for replica in facts.replicas:
        if replica.state != "online" or replica.lag_s > REPLICA_LAG_S:
            yield warning(
                f"replica {replica.address}",
                "it does not keep up: a failover to it would lose events",
                f"{replica.state}, {replica.lag_s} s without a sign",
                to_do=f"see whether {replica.address} runs, and the log of that server",
            )


def _failover(facts: ServerFacts) -> Iterator[Finding]:
    """Yield what a failover by sentinels can lose."""
    replicas = len(facts.replicas)
    if not replicas:
        yield error(
            "failover",
            "no replica is connected: sentinels have none to make the master",
            "0 replicas",
            to_do="see whether the replicas run, and the logs of those servers",
        )
        return
    yield from _cut_off(facts, replicas)
    how = f"CLIENT PAUSE 20000 WRITE on the master, then SENTINEL FAILOVER {facts.watched_as}"
    if int(str(facts.server.get("valkey_version", "0")).split(".")[0]) >= _COORDINATED_SINCE:
        how = f"SENTINEL FAILOVER {facts.watched_as} COORDINATED"
    yield ok(
        "planned failover",
        f"plan it as {how}: SENTINEL FAILOVER alone loses what the old master takes for 10 s more,"
        f" unless an append waited for all {replicas} replicas",
    )


def _cut_off(facts: ServerFacts, replicas: int) -> Iterator[Finding]:
    """Yield how long a master that is cut off from its replicas goes on taking appends."""
    if "min-replicas-to-write" not in facts.settings:
        return
    needed = int(facts.settings["min-replicas-to-write"])
    lag_s = int(facts.settings.get("min-replicas-max-lag", "10"))
    figure = f"min-replicas-to-write {needed}, min-replicas-max-lag {lag_s}"
    to_do = (
        "on the master and each replica: redis-cli CONFIG SET min-replicas-to-write 1"
        f" min-replicas-max-lag {CUT_OFF_MAX_S} && redis-cli CONFIG REWRITE"
    )
    if needed > replicas:
        yield error(
            "cut off master",
            f"appends are refused: {replicas} replicas are connected",
            figure,
            to_do="start the replicas that are missing, or lower min-replicas-to-write",
        )
    elif not needed or not lag_s:
        yield warning(
            "cut off master",
            "one that is cut off takes appends until it is reached again, and then loses them",
            figure,
            to_do=to_do,
        )
    elif lag_s > CUT_OFF_MAX_S:
        yield warning(
            "cut off master",
            f"one that is cut off takes appends for {lag_s} s, and then loses them",
            figure,
            to_do=to_do,
        )
    else:
        yield ok("cut off master", f"one that is cut off takes appends for {lag_s} s", figure)


def _clock(facts: ServerFacts) -> Iterator[Finding]:
    ahead_s = facts.clock_ahead_s
    if ahead_s is None:
        return
    off_s = abs(ahead_s)
    figure = f"{ahead_s:+.1f} s"
    if off_s >= CLOCK_WARNING_S:
        say = error if off_s >= CLOCK_ERROR_S else warning
        yield say(
            "clock",
            f"the server's clock is {'ahead of' if ahead_s > 0 else 'behind'} this machine's:"
            " ids, ages and spans such as -2h are made with the server's",
            figure,
            to_do="set both clocks by NTP: timedatectl set-ntp true",
        )
    else:
        yield ok("clock", "the server's clock and this machine's agree", figure)


def _rights(facts: ServerFacts) -> Iterator[Finding]:
    missing = facts.missing_rights
    if missing is None:
        return
    if missing:
        yield error(
            "rights",
            f"user {facts.user} may not run what producers and consumers need:"
            f" {', '.join(missing)}",
            f"{len(missing)} missing",
            to_do=f"ACL SETUSER {facts.user} +@read +@write +@scripting +@connection"
            " ~NAMESPACE:* ~{NAMESPACE:*",
        )
    else:
        yield ok("rights", f"user {facts.user} may run all that is needed")
